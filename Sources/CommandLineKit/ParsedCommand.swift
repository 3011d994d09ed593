/// The words of a command line, checked against the command's spec and converted.
///
/// It is read by descriptor: `input[priority]` has the type that `priority` declares, so a misspelled name does not
/// compile.
package struct ParsedCommand: Sendable {
    package let spec: CommandSpec
    /// What the caller typed to reach the command: `stockq items import`.
    package let invocation: String
    private let values: [String: any Sendable]
    private let given: Set<String>
    /// What the environment and the configuration file say.
    package let configuration: Configuration

    init(
        _ spec: CommandSpec, invocation: String, words: [String: [String]], configuration: Configuration
    ) throws(UsageError) {
        var values: [String: any Sendable] = [:]
        for parameter in spec.arguments + spec.allOptions {
            let label = parameter.info.label
            let entry = words[label] == nil ? configuration.entry(of: parameter.info) : nil
            do throws(ConversionError) {
                let configured = try entry.map { entry throws(ConversionError) in try entry.words(of: parameter.info) }
                values[label] = try parameter.convert(words[label] ?? configured ?? [])
            } catch {
                throw UsageError((entry.map { "\($0.source): " } ?? "") + error.message, invocation: invocation)
            }
        }
        self.configuration = configuration
        self.spec = spec
        self.invocation = invocation
        self.values = values
        given = Set(words.keys)
    }

    /// The parameter's value.
    ///
    /// - Precondition: the command's spec has the parameter.
    package subscript<Key: TypedParameter>(_ parameter: Key) -> Key.Value {
        guard let converted = values[parameter.info.label] as? ConvertedValue<Key.Value> else {
            preconditionFailure("'\(spec.name)' does not declare \(parameter.info.label)")
        }
        return converted.value
    }

    /// Whether the parameter was given, even with its default's value.
    package func isGiven(_ parameter: some Parameter) -> Bool { given.contains(parameter.info.label) }

    /// A mistake that no single parameter shows, such as two that exclude each other.
    package func usageError(_ message: String) -> UsageError { UsageError(message, invocation: invocation) }
}

/// Wrong usage: exit code 2, and the message points to `--help`.
package struct UsageError: Error, CustomStringConvertible {
    package let message: String
    /// The call whose help explains the right usage: `stockq items import`, or `stockq`.
    package let invocation: String

    package init(_ message: String, invocation: String) {
        self.message = message
        self.invocation = invocation
    }

    package var description: String { "\(invocation): \(message)\nTry '\(invocation) --help'." }
}
