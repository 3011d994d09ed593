import StockQueuePostgres

extension CommandSpec {
    /// Labels wider than this get a line of their own.
    private static let labelColumnsMax = 30

    /// The text of `--help`.
    ///
    /// - Parameter columns: that a line may take.
    package func helpText(program: String, columns: Int) -> String {
        let synopsis = ["usage:", invocation(of: program)] + arguments.map(\.info.synopsis) + ["[options]"]
        var sections = [synopsis.joined(separator: " "), summary].map { Self.paragraphs([$0], columns) }
        if !arguments.isEmpty { sections.append("arguments:\n" + Self.list(arguments.map(\.info), columns)) }
        sections.append("options:\n" + Self.list((options + [Self.help]).map(\.info), columns))
        if !globalOptions.isEmpty {
            sections.append("global options:\n" + Self.list(globalOptions.map(\.info), columns))
        }
        if !examples.isEmpty {
            sections.append("examples:\n" + examples.map { example($0, program, columns) }.joined(separator: "\n"))
        }
        if !notes.isEmpty { sections.append(Self.paragraphs(notes, columns)) }
        return sections.joined(separator: "\n\n")
    }

    /// A call as a shell takes it: a long one is continued after a backslash.
    private func example(_ example: Example, _ program: String, _ columns: Int) -> String {
        let purpose = Self.wrapped(example.purpose, columns: columns - 4).map { "  # " + $0 }.joined(separator: "\n")
        let words = words(of: example, program: program)
        var lines = ["  " + words[0]]
        for word in words.dropFirst() {
            if displayColumns(lines[lines.count - 1]) + displayColumns(word) + 3 > columns {
                lines[lines.count - 1] += " \\"
                lines.append("      " + word)
            } else {
                lines[lines.count - 1] += " " + word
            }
        }
        return purpose + "\n" + lines.joined(separator: "\n")
    }

    /// The words of a call as a shell takes them.
    func words(of example: Example, program: String) -> [String] {
        [example.before, invocation(of: program)].filter { !$0.isEmpty } + example.words.map(Self.quotedForShell)
    }

    private static func quotedForShell(_ word: String) -> String {
        let isPlain = word.allSatisfy { $0.isLetter || $0.isNumber || "-_./:=+,%@…".contains($0) }
        return isPlain && !word.isEmpty ? word : "'\(word)'"
    }

    /// Parameters as two columns: how they are written, and what they mean.
    static func list(_ parameters: [ParameterInfo], _ columns: Int) -> String {
        let labels = parameters.map { $0.kind == .argument ? $0.name : $0.synopsis }
        return twoColumns(Array(zip(labels, parameters.map(\.helpLine))), columns)
    }

    static func twoColumns(_ rows: [(label: String, text: String)], _ columns: Int) -> String {
        let width = min(labelColumnsMax, columns / 3, rows.map(\.label.count).max() ?? 0)
        return rows.map { label, text in
            let lines = wrapped(text, columns: columns - width - 4)
            let indent = "\n" + String(repeating: " ", count: width + 4)
            let first = "  \(label.padding(toWidth: width))  "
            return (label.count > width ? "  \(label)" + indent : first) + lines.joined(separator: indent)
        }.joined(separator: "\n")
    }

    static func paragraphs(_ notes: [String], _ columns: Int) -> String {
        notes.map { wrapped($0, columns: columns).joined(separator: "\n") }.joined(separator: "\n")
    }

    private static func wrapped(_ text: String, columns: Int) -> [String] {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let last = lines.last, displayColumns(last) + 1 + displayColumns(String(word)) <= columns {
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
        if isConfigurable { parts.append(Configuration.variable(of: name)) }
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
