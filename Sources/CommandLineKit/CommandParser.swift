/// Splits the words behind a command's name into arguments and options.
struct CommandParser {
    enum Outcome {
        case help
        case command(ParsedCommand)
    }

    private let spec: CommandSpec
    private let invocation: String
    /// The words of each parameter by its label; of a flag an empty one for each time it was given.
    private var words: [String: [String]] = [:]
    private var positionals: [String] = []
    private var asksForHelp = false

    /// - Throws: `UsageError` at the first word that is wrong; nothing behind it is read, not even `--help`.
    static func parse(
        _ words: [String], _ spec: CommandSpec, program: String, configuration: () throws(Failure) -> Configuration
    ) throws(UsageError) -> Outcome {
        var parser = CommandParser(spec: spec, invocation: spec.invocation(of: program))
        try parser.read(words)
        if parser.asksForHelp { return .help }
        try parser.assignPositionals()
        let configured: Configuration
        do throws(Failure) {
            configured = try configuration()
        } catch {
            throw UsageError(error.message, invocation: parser.invocation)
        }
        return .command(
            try ParsedCommand(
                spec, invocation: parser.invocation, words: parser.words, configuration: configured))
    }

    private init(spec: CommandSpec, invocation: String) {
        self.spec = spec
        self.invocation = invocation
    }

    private mutating func read(_ words: [String]) throws(UsageError) {
        var rest = words[...]
        var optionsEnded = false
        while let word = rest.popFirst() {
            if optionsEnded || !OptionWord.isOption(word) {
                positionals.append(word)
            } else if word == "--" {
                optionsEnded = true
            } else if OptionWord.asksForHelp(word) {
                asksForHelp = true
            } else {
                try readOption(OptionWord(word), &rest)
            }
        }
    }

    private mutating func readOption(_ word: OptionWord, _ rest: inout ArraySlice<String>) throws(UsageError) {
        guard let info = spec.allOptions.map(\.info).first(where: { $0.name == word.name }) else {
            throw word.unknown(among: spec.allOptions, invocation: invocation)
        }
        let value = try word.value(of: info, &rest, invocation: invocation)
        if words[info.label] != nil && info.count.upperBound == 1 {
            throw UsageError("\(info.label) is given twice", invocation: invocation)
        }
        words[info.label, default: []].append(value)
    }

    private mutating func assignPositionals() throws(UsageError) {
        let infos = spec.arguments.map(\.info)
        let min = infos.reduce(0) { $0 + $1.count.lowerBound }
        let max = infos.reduce(0) { $0 + $1.count.upperBound }
        if !(min...max).contains(positionals.count) {
            let expected = infos.isEmpty ? "nothing" : infos.map(\.synopsis).joined(separator: " ")
            let got = positionals.isEmpty ? "nothing" : shortList(positionals)
            var message = "expected \(expected), got \(got)"
            if positionals.count > max, let last = infos.last, last.count.upperBound > 1 {
                message += "; at most \(counted(max, "word")) \(max == 1 ? "is" : "are") allowed"
                if let advice = last.ifTooMany { message += ": \(advice)" }
            }
            throw UsageError(message, invocation: invocation)
        }
        var rest = positionals[...]
        for (index, info) in infos.enumerated() {
            // Only the last argument may repeat, so that each one before it takes one word.
            let count = index == infos.count - 1 ? rest.count : 1
            if count > 0 { words[info.label] = Array(rest.prefix(count)) }
            rest = rest.dropFirst(count)
        }
    }
}

/// A word that begins with two dashes: `--name` or `--name=VALUE`.
struct OptionWord {
    let name: String
    /// What follows the equals sign.
    private let inlineValue: String?

    static func isOption(_ word: String) -> Bool { word == "-h" || word.utf8.starts(with: "--".utf8) }

    static func asksForHelp(_ word: String) -> Bool { word == "--help" || word == "-h" }

    init(_ word: String) {
        // By bytes: a value may begin with a combining mark, and "=" with one is another Character.
        let parts = word.utf8.dropFirst(2).split(
            separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false
        ).map { String(Substring($0)) }
        name = parts[0]
        inlineValue = parts.count > 1 ? parts[1] : nil
    }

    /// The option's value, which may be the next word; empty for a flag.
    func value(
        of info: ParameterInfo, _ rest: inout ArraySlice<String>, invocation: String
    ) throws(UsageError) -> String {
        guard let valueName = info.valueName else {
            if inlineValue != nil { throw UsageError("\(info.label) takes no value", invocation: invocation) }
            return ""
        }
        if let value = inlineValue ?? rest.popFirst() { return value }
        throw UsageError("\(info.label) needs a value: \(valueName)", invocation: invocation)
    }

    func unknown(among options: [any Parameter], invocation: String) -> UsageError {
        let suggestion = Suggestion.text(for: name, among: options.map(\.info.name)) { "--\($0)" }
        return UsageError("unknown option --\(name.shown)\(suggestion)", invocation: invocation)
    }
}
