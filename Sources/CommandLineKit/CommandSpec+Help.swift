extension CommandSpec {
    /// The columns that help text may take.
    private static let columns = 100
    /// Labels wider than this get a line of their own.
    private static let labelColumnsMax = 30

    /// The text of `--help`.
    package func helpText(program: String) -> String {
        let synopsis = ["usage:", invocation(of: program)] + arguments.map(\.info.synopsis) + ["[options]"]
        var sections = [synopsis.joined(separator: " "), summary]
        if !arguments.isEmpty { sections.append("arguments:\n" + Self.list(arguments.map(\.info))) }
        sections.append("options:\n" + Self.list((options + [Self.help]).map(\.info)))
        if !globalOptions.isEmpty { sections.append("global options:\n" + Self.list(globalOptions.map(\.info))) }
        if !examples.isEmpty {
            sections.append("examples:\n" + examples.map { example($0, program) }.joined(separator: "\n"))
        }
        if !notes.isEmpty { sections.append(Self.paragraphs(notes)) }
        return sections.joined(separator: "\n\n")
    }

    private func example(_ example: Example, _ program: String) -> String {
        let call = [invocation(of: program)] + example.words.map(Self.quotedForShell)
        let line = ([example.before] + call).filter { !$0.isEmpty }.joined(separator: " ")
        return "  # \(example.purpose)\n  \(line)"
    }

    private static func quotedForShell(_ word: String) -> String {
        let isPlain = word.allSatisfy { $0.isLetter || $0.isNumber || "-_./:=+,%@…".contains($0) }
        return isPlain && !word.isEmpty ? word : "'\(word)'"
    }

    /// Parameters as two columns: how they are written, and what they mean.
    static func list(_ parameters: [ParameterInfo]) -> String {
        let labels = parameters.map { $0.kind == .argument ? $0.name : $0.synopsis }
        return twoColumns(Array(zip(labels, parameters.map(\.helpLine))))
    }

    static func twoColumns(_ rows: [(label: String, text: String)]) -> String {
        let width = min(labelColumnsMax, rows.map(\.label.count).max() ?? 0)
        return rows.map { label, text in
            let lines = wrapped(text, columns: columns - width - 4)
            let indent = "\n" + String(repeating: " ", count: width + 4)
            let first = "  \(label.padding(toWidth: width))  "
            return (label.count > width ? "  \(label)" + indent : first) + lines.joined(separator: indent)
        }.joined(separator: "\n")
    }

    static func paragraphs(_ notes: [String]) -> String {
        notes.map { wrapped($0, columns: columns).joined(separator: "\n") }.joined(separator: "\n")
    }

    private static func wrapped(_ text: String, columns: Int) -> [String] {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let last = lines.last, last.count + 1 + word.count <= columns {
                lines[lines.count - 1] = "\(last) \(word)"
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}

extension ParameterInfo {
    /// The help with what is accepted, and the default.
    var helpLine: String {
        var parts = [help + (shape?.accepted.map { " (\($0))" } ?? "")]
        if count.upperBound > 1 && kind == .option { parts.append("may be given several times") }
        if count.lowerBound > 0 && kind == .option { parts.append("required") }
        if let defaultText { parts.append("default: \(defaultText)") }
        return parts.joined(separator: "; ")
    }
}

extension ValueShape {
    /// A bound that is only there because numbers have one is not worth a word.
    private static let notableMax: Int64 = 1 << 40

    /// What help says of the values; nil where the placeholder says enough.
    var accepted: String? {
        switch self {
        case .text(let bytes): bytes.map { "\($0.lowerBound) to \($0.upperBound) bytes" }
        case .wholeNumber(let range) where range.upperBound < Self.notableMax:
            "\(range.lowerBound) to \(range.upperBound)"
        case .choice(let words): "one of \(words.joined(separator: ", "))"
        case .duration: "like 90s, 15m, 24h or 7d"
        case .time, .file, .wholeNumber: nil
        case .noneOr(let shape): shape.accepted.map { "\($0), or none" }
        }
    }
}
