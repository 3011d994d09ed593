/// An option of a command: `--name VALUE`, or a flag where there is no placeholder.
package struct Option: Sendable {
    package let name: String
    /// Nil: a flag.
    package let placeholder: String?
    package let help: String
    /// May be given several times.
    package let repeats: Bool

    package init(_ name: String, _ placeholder: String? = nil, _ help: String, repeats: Bool = false) {
        self.name = name
        self.placeholder = placeholder
        self.help = help
        self.repeats = repeats
    }
}

/// What a command takes, for parsing and for its help.
package struct Usage: Sendable {
    package let command: String
    /// As they stand in the synopsis, for instance `STORE ITEM QUANTITY`.
    package let positionals: String
    /// How many there must be.
    package let positionalCount: ClosedRange<Int>
    package let summary: String
    /// `--help` among them.
    package let allOptions: [Option]
    package let notes: String

    package init(
        command: String, positionals: String, positionalCount: ClosedRange<Int>, summary: String,
        optionsWithoutHelp: [Option], notes: String
    ) {
        self.command = command
        self.positionals = positionals
        self.positionalCount = positionalCount
        self.summary = summary
        allOptions = optionsWithoutHelp + [Option("help", nil, "show this help")]
        self.notes = notes
    }

    package var helpText: String {
        let labels = allOptions.map { "--\($0.name)" + ($0.placeholder.map { " \($0)" } ?? "") }
        let width = min(30, labels.map(\.count).max() ?? 0)
        let lines = zip(labels, allOptions).map { label, option in
            label.count > width
                ? "  \(label)\n  \(String(repeating: " ", count: width))  \(option.help)"
                : "  \(label.padding(toWidth: width))  \(option.help)"
        }
        let synopsis = ["usage: stockq \(command)", positionals, "[options]"].filter { !$0.isEmpty }.joined(
            separator: " ")
        return "\(synopsis)\n\n\(summary)\n\noptions:\n\(lines.joined(separator: "\n"))\n"
            + (notes.isEmpty ? "" : "\n\(notes)\n")
    }
}

extension String {
    package func padding(toWidth width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

/// Wrong usage: the message goes to stderr with a hint at `--help`, and the exit code is 2.
package struct UsageError: Error {
    package let message: String
    package let command: String

    package init(_ message: String, _ usage: Usage) {
        self.message = message
        command = usage.command
    }
}

/// The arguments of a command, checked against its usage.
package struct Arguments {
    package let usage: Usage
    package private(set) var positionals: [String] = []
    private var values: [String: [String]] = [:]
    package private(set) var asksForHelp = false

    package init(_ words: [String], _ usage: Usage) throws {
        self.usage = usage
        var rest = words[...]
        var optionsEnded = false
        while let word = rest.popFirst() {
            if optionsEnded || !word.utf8.starts(with: "--".utf8) && word != "-h" {
                positionals.append(word)
            } else if word == "--" {
                optionsEnded = true
            } else if word == "--help" || word == "-h" {
                asksForHelp = true
            } else {
                try takeOption(word, &rest)
            }
        }
        if asksForHelp { return }
        if !usage.positionalCount.contains(positionals.count) {
            let expected = usage.positionals.isEmpty ? "nothing" : usage.positionals
            throw UsageError(
                "expected \(expected), got \(positionals.isEmpty ? "nothing" : positionals.joined(separator: " "))",
                usage)
        }
    }

    private mutating func takeOption(_ word: String, _ rest: inout ArraySlice<String>) throws {
        // By bytes: a value may begin with a combining mark, and "=" with one is another Character.
        let parts = word.utf8.dropFirst(2).split(
            separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false
        ).map { String(Substring($0)) }
        let name = parts[0]
        guard let option = usage.allOptions.first(where: { $0.name == name }) else {
            throw UsageError("unknown option --\(name)", usage)
        }
        let value: String
        if option.placeholder == nil {
            if parts.count > 1 { throw UsageError("--\(name) takes no value", usage) }
            value = ""
        } else if parts.count > 1 {
            value = parts[1]
        } else if let next = rest.popFirst() {
            value = next
        } else {
            throw UsageError("--\(name) needs a value: \(option.placeholder ?? "")", usage)
        }
        if values[name] != nil && !option.repeats { throw UsageError("--\(name) is given twice", usage) }
        values[name, default: []].append(value)
    }

    package func has(_ name: String) -> Bool { values[name] != nil }

    package func text(_ name: String) -> String? { values[name]?.last }

    package func texts(_ name: String) -> [String] { values[name] ?? [] }

    package func number(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let text = text(name) else { return nil }
        return try number(text, named: "--\(name)", in: range)
    }

    package func number(_ text: String, named name: String, in range: ClosedRange<Int>) throws -> Int {
        guard let value = Int(text), range.contains(value) else {
            throw UsageError(
                "\(name) takes a whole number from \(range.lowerBound) to \(range.upperBound), not '\(text)'", usage)
        }
        return value
    }

    /// A span of time such as `90s`, `15m`, `24h` or `7d`, in seconds.
    package func seconds(_ name: String) throws -> Int64? {
        guard let text = text(name) else { return nil }
        guard let seconds = Arguments.seconds(text) else {
            throw UsageError("--\(name) takes a span of time like 90s, 15m, 24h or 7d, not '\(text)'", usage)
        }
        return seconds
    }

    /// 100 years; whoever means "for ever" leaves the option out.
    private static let longestSpan: Int64 = 3_153_600_000

    package static func seconds(_ text: String) -> Int64? {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()),
            (0...longestSpan / unit).contains(count)
        else { return nil }
        return count * unit
    }
}
