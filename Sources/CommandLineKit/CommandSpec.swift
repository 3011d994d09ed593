/// A command as data: parsing, `--help` and the tests follow it.
package struct CommandSpec: Sendable {
    /// The words that call it behind the program's name, for instance `["items", "import"]`; empty for the program
    /// itself.
    package let path: [String]
    /// One sentence.
    package let summary: String
    package let arguments: [any Parameter]
    /// The options and flags of this command alone.
    package let options: [any Parameter]
    /// Options that several commands share and that may also precede the command, such as `--database-url`.
    package let globalOptions: [any Parameter]
    package let examples: [Example]
    /// Paragraphs below the examples; help wraps them.
    package let notes: [String]

    /// A call of the command and its purpose.
    package struct Example: Sendable {
        package let purpose: String
        /// The words behind the command's name.
        package let words: [String]
        /// What precedes the call in a shell, for instance `zcat jobs.csv.gz |`.
        package let before: String

        package init(_ purpose: String, _ words: String..., before: String = "") {
            self.purpose = purpose
            self.words = words
            self.before = before
        }
    }

    package init(
        _ name: String, _ summary: String, arguments: [any Parameter] = [], options: [any Parameter] = [],
        globalOptions: [any Parameter] = [], examples: [Example] = [], notes: [String] = []
    ) {
        path = name.split(separator: " ").map(String.init)
        self.summary = summary
        self.arguments = arguments
        self.options = options
        self.globalOptions = globalOptions
        self.examples = examples
        self.notes = notes
    }

    package var name: String { path.joined(separator: " ") }

    package static let help = Flag("help", help: "show this help")

    /// Every option that the command understands, `--help` last.
    package var allOptions: [any Parameter] { options + globalOptions + [Self.help] }

    /// What a caller types to reach the command: `stockq items import`.
    func invocation(of program: String) -> String { ([program] + path).joined(separator: " ") }
}
