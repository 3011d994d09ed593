extension ProgramSpec {
    /// The program's manual page, for section 1.
    ///
    /// - Parameters:
    ///   - version: as the footer has it.
    ///   - seeAlso: where more is written, a paragraph each.
    package func manualPage(version: String, seeAlso: [String] = []) -> String {
        var page = ManualPage()
        page.line(".TH \(name.uppercased()) 1 \"\" \"\(version)\" \"\"")
        page.section("NAME")
        page.text("\(name) - \(Self.withoutFullStop(summary).trimmingPrefix("\(name) "))")
        page.section("SYNOPSIS")
        page.line(".B \(name)")
        page.text("[global options] COMMAND [arguments] [options]")
        page.section("DESCRIPTION")
        for note in notes { page.paragraph(note) }
        page.section("GLOBAL OPTIONS")
        page.options(globalOptions.map(\.info))
        page.section("COMMANDS")
        for command in commands { page.command(command, program: name) }
        if !seeAlso.isEmpty { page.section("SEE ALSO") }
        for text in seeAlso { page.paragraph(text) }
        return page.text
    }

    private static func withoutFullStop(_ text: String) -> String {
        text.hasSuffix(".") ? String(text.dropLast()) : text
    }
}

/// A page in the language of `man(7)`.
private struct ManualPage {
    private(set) var text = ""

    mutating func line(_ line: String) { text += line + "\n" }

    mutating func section(_ title: String) { line(".SH \(title)") }

    mutating func text(_ words: String) { line(Self.escaped(words)) }

    mutating func paragraph(_ words: String) {
        line(".PP")
        text(words)
    }

    mutating func options(_ infos: [ParameterInfo]) {
        for info in infos {
            line(".TP")
            line(
                "\\fB\(Self.escaped(info.label))\\fR"
                    + (info.kind == .argument ? "" : info.valueName.map { " \\fI\(Self.escaped($0))\\fR" } ?? ""))
            text(info.help + (info.defaultText.map { " (default: \($0))" } ?? ""))
        }
    }

    mutating func command(_ command: CommandSpec, program: String) {
        let arguments = command.arguments.map(\.info)
        line(".SS \"\(Self.escaped(([program] + command.path + arguments.map(\.synopsis)).joined(separator: " ")))\"")
        text(command.summary)
        options(arguments + command.options.map(\.info))
        for example in command.examples {
            paragraph(example.purpose)
            line(".EX")
            line("  " + Self.escaped(command.words(of: example, program: program).joined(separator: " ")))
            line(".EE")
        }
        for note in command.notes { paragraph(note) }
    }

    /// A line must not begin with what roff takes for a request.
    private static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\e"
            case "-": result += "\\-"
            case "\"": result += "\\(dq"
            case "'": result += "\\(aq"
            case "`": result += "\\(ga"
            case "^": result += "\\(ha"
            case "~": result += "\\(ti"
            case "\n": result += " "
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result.hasPrefix(".") ? "\\&" + result : result
    }
}
