import Foundation

/// What the environment and a file say of options and settings that the command line does not give.
package struct Configuration: Sendable {
    /// Where a value comes from.
    package enum Source: Sendable, Equatable, CustomStringConvertible {
        /// The name of the variable.
        case environment(String)
        case file(String, line: Int)

        package var description: String {
            switch self {
            case .environment(let variable): variable
            case .file(let name, let line): "\(name):\(line)"
            }
        }
    }

    package struct Entry: Sendable, Equatable {
        package let text: String
        package let source: Source

        package init(text: String, source: Source) { (self.text, self.source) = (text, source) }
    }

    private let environment: [String: String]
    /// By name, from the file.
    private let entries: [String: Entry]

    /// Says nothing.
    package static let none = Configuration(environment: [:], entries: [:])

    private init(environment: [String: String], entries: [String: Entry]) {
        (self.environment, self.entries) = (environment, entries)
    }

    /// - Parameters:
    ///   - file: its name and its text, lines of `name = value`; `#` begins a comment at the start of a line or behind a
    ///     blank.
    ///   - known: the names that there are.
    ///   - otherVariables: variables that begin with `STOCKQ_` and belong to no name.
    /// - Throws: `Failure` for a line that is none, a name or a variable that is not known, and a name that comes twice.
    package init(
        environment: [String: String], file: (name: String, text: String)? = nil, known: Set<String>,
        otherVariables: Set<String> = []
    ) throws(Failure) {
        try Self.check(environment, Set(known.map(Self.variable)).union(otherVariables))
        var entries: [String: Entry] = [:]
        let lines = (file?.text ?? "").split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            let text = Self.withoutComment(line).trimmingCharacters(in: .whitespaces)
            if text.isEmpty { continue }
            let source = Source.file(file?.name ?? "", line: index + 1)
            guard let sign = text.firstIndex(of: "=") else {
                throw Failure("\(source): a line is name = value, not '\(text.shown)'")
            }
            let name = text[..<sign].trimmingCharacters(in: .whitespaces)
            guard known.contains(name) else {
                let suggestion = Suggestion.text(for: name, among: known.sorted()) { "'\($0)'" }
                throw Failure("\(source): there is no setting '\(name.shown)'\(suggestion)")
            }
            if let first = entries[name] {
                throw Failure("\(source): \(name) is given twice, first at \(first.source)")
            }
            let value = text[text.index(after: sign)...].trimmingCharacters(in: .whitespaces)
            entries[name] = Entry(text: value, source: source)
        }
        self.init(environment: environment, entries: entries)
    }

    /// Throws for a variable that looks like one of these and is not known.
    private static func check(_ environment: [String: String], _ known: Set<String>) throws(Failure) {
        for variable in environment.keys.sorted()
        where variable.hasPrefix(prefix) && !known.contains(variable) && !isOfKubernetesService(variable) {
            let suggestion = Suggestion.text(for: variable, among: known.sorted()) { $0 }
            throw Failure("there is no setting with the variable \(variable.shown)\(suggestion)")
        }
    }

    /// Kubernetes sets such variables for a service whose name begins with the program's.
    private static func isOfKubernetesService(_ variable: String) -> Bool {
        variable.hasSuffix("_SERVICE_HOST") || variable.hasSuffix("_PORT") || variable.contains("_SERVICE_PORT")
            || variable.contains("_TCP") && variable.contains("_PORT_")
    }

    private static func withoutComment(_ line: Substring) -> Substring {
        var last: Character = " "
        for index in line.indices {
            if line[index] == "#" && last.isWhitespace { return line[..<index] }
            last = line[index]
        }
        return line
    }

    /// The value of an option or a setting: that of the environment, else that of the file.
    package func entry(_ name: String) -> Entry? {
        let variable = Self.variable(of: name)
        if let text = environment[variable] { return Entry(text: text, source: .environment(variable)) }
        return entries[name]
    }

    private static let prefix = "STOCKQ_"

    /// `STOCKQ_LOG_LEVEL` for `log-level`, and `STOCKQ_LOCK_TIMEOUT` for `lockTimeout`.
    package static func variable(of name: String) -> String {
        var variable = prefix
        var last: Character = "A"
        for character in name {
            // Capitals that follow one another are one word.
            if character.isUppercase && !last.isUppercase { variable += "_" }
            variable += character == "-" ? "_" : character.uppercased()
            last = character
        }
        return variable
    }
}

extension Configuration {
    /// The value of a parameter that the environment and the file can give.
    package func entry(of info: ParameterInfo) -> Entry? { info.isConfigurable ? entry(info.name) : nil }
}

extension Configuration.Entry {
    private static let flags = ["true": [""], "1": [""], "yes": [""], "false": [], "0": [], "no": [], "": []]

    /// What a command line would have: for an option that can be given several times, the words between blanks.
    package func words(of info: ParameterInfo) throws(ConversionError) -> [String] {
        guard info.kind == .flag else {
            return info.count.upperBound > 1 ? text.split(separator: " ").map(String.init) : [text]
        }
        guard let words = Self.flags[text] else {
            throw ConversionError(message: "\(info.name) takes true or false, not '\(text.shown)'")
        }
        return words
    }
}
