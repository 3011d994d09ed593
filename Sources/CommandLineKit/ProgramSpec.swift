/// A program as data: its commands and the options that all of them share.
package struct ProgramSpec: Sendable {
    package let name: String
    /// One sentence.
    package let summary: String
    package let commands: [CommandSpec]
    /// Options that may precede the command.
    package let globalOptions: [any Parameter]
    /// Paragraphs below the list of commands; help wraps them.
    package let notes: [String]

    package init(
        name: String, summary: String, commands: [CommandSpec], globalOptions: [any Parameter] = [],
        notes: [String] = []
    ) {
        self.name = name
        self.summary = summary
        self.commands = commands
        self.globalOptions = globalOptions
        self.notes = notes
    }

    /// What a command line asks for.
    package enum Request {
        /// Nothing was asked for: the overview is shown as an error.
        case nothing
        case help(String)
        case version
        case command(ParsedCommand)
    }

    private static let versionWords: Set = ["--version", "-V", "version"]

    /// Reads a command line: `[global options] COMMAND [arguments] [options]`, `help [COMMAND]`, `--help`,
    /// `--version` or `version`.
    ///
    /// - Parameter configuration: is asked for when a command is to run: what a command line does not give.
    package func interpret(
        _ words: [String], configuration: () throws(Failure) -> Configuration = { .none }
    ) throws(UsageError) -> Request {
        var rest = words[...]
        var leading: [String] = []
        var asksForHelp = false
        // A program without commands of its own has one whose path is empty.
        while let word = rest.first, OptionWord.isOption(word), commands.allSatisfy({ !$0.path.isEmpty }) {
            rest.removeFirst()
            if Self.versionWords.contains(word) { return .version }
            if OptionWord.asksForHelp(word) {
                asksForHelp = true
                continue
            }
            leading += try globalOption(word, &rest)
        }
        if let word = rest.first, Self.versionWords.contains(word) { return .version }
        if rest.first == "help" { return .help(try helpText(for: Array(rest.dropFirst()))) }
        if asksForHelp { return .help(try helpText(for: Array(rest))) }
        return try command(Array(rest), leading, configuration)
    }

    private func command(
        _ words: [String], _ leading: [String], _ configuration: () throws(Failure) -> Configuration
    ) throws(UsageError) -> Request {
        guard let spec = spec(of: words) else {
            guard let family = words.first else { return .nothing }
            if !members(of: family).isEmpty, let word = words.dropFirst().first, OptionWord.asksForHelp(word) {
                return .help(try helpText(for: [family]))
            }
            throw unknownCommand(words)
        }
        let outcome = try CommandParser.parse(
            leading + words.dropFirst(spec.path.count), spec, program: name, configuration: configuration)
        switch outcome {
        case .help: return .help(spec.helpText(program: name, columns: Terminal.helpColumns))
        case .command(let parsed): return .command(parsed)
        }
    }

    /// A global option's words, to be read again as the command's.
    private func globalOption(_ word: String, _ rest: inout ArraySlice<String>) throws(UsageError) -> [String] {
        let option = OptionWord(word)
        guard let info = globalOptions.map(\.info).first(where: { $0.name == option.name }) else {
            throw option.unknown(among: globalOptions + [CommandSpec.help], invocation: name)
        }
        let value = try option.value(of: info, &rest, invocation: name)
        return [info.valueName == nil ? info.label : "\(info.label)=\(value)"]
    }

    private func spec(of words: [String]) -> CommandSpec? { commands.first { words.starts(with: $0.path) } }

    /// The last words of the commands that begin with the word: `import`, `list`, … of `items`.
    private func members(of family: String) -> [String] {
        commands.filter { $0.path.count > 1 && $0.path[0] == family }.map { $0.path[1] }
    }

    private func unknownCommand(_ words: [String]) -> UsageError {
        let family = words[0]
        let members = members(of: family)
        if members.isEmpty {
            let known = Set(commands.compactMap(\.path.first)).sorted() + ["help"]
            let suggestion = Suggestion.text(for: family, among: known) { "'\($0)'" }
            return UsageError("unknown command '\(family.shown)'\(suggestion)", invocation: name)
        }
        let list = members.joined(separator: ", ")
        guard words.count > 1, !OptionWord.isOption(words[1]) else {
            return UsageError("'\(family)' needs a subcommand: \(list)", invocation: "\(name) \(family)")
        }
        let suggestion = Suggestion.text(for: words[1], among: members) { "'\(family) \($0)'" }
        return UsageError(
            "'\(family)' has no subcommand '\(words[1].shown)'\(suggestion.isEmpty ? ": \(list)" : suggestion)",
            invocation: "\(name) \(family)")
    }

    // MARK: help

    /// The help of a command, of a family of commands, or of the program.
    package func helpText(for words: [String]) throws(UsageError) -> String {
        guard let first = words.first(where: { !OptionWord.isOption($0) }) else { return overview }
        if let spec = spec(of: words) { return spec.helpText(program: name, columns: Terminal.helpColumns) }
        if !members(of: first).isEmpty, words.count == 1 { return familyHelp(first) }
        throw unknownCommand(words)
    }

    private func familyHelp(_ family: String) -> String {
        let note = "'\(name) help \(family) SUBCOMMAND' shows a command's arguments, options and examples."
        return """
            usage: \(name) \(family) SUBCOMMAND [arguments] [options]

            \(list(commands.filter { $0.path.first == family }))

            \(CommandSpec.paragraphs([note], Terminal.helpColumns))
            """
    }

    /// The text of `--help` without a command.
    package var overview: String {
        let columns = Terminal.helpColumns
        let notes = ["'\(name) help COMMAND' shows a command's arguments, options and examples."] + notes
        return """
            \(CommandSpec.paragraphs([summary], columns))

            usage: \(name) [global options] COMMAND [arguments] [options]

            commands:
            \(list(commands))

            global options:
            \(CommandSpec.list(globalOptions.map(\.info) + [CommandSpec.help.info, Self.version.info], columns))

            \(CommandSpec.paragraphs(notes, columns))
            """
    }

    private static let version = Flag("version", help: "show the version, the commit and the schema")

    private func list(_ commands: [CommandSpec]) -> String {
        CommandSpec.twoColumns(commands.map { ($0.name, $0.summary) }, Terminal.helpColumns)
    }
}
