import CommandLineKit

/// From the words of a command line to options and positionals, or a told mistake.
enum ArgumentsCheck {
    private static let usage = Usage(
        command: "try", positionals: "FIRST [SECOND [THIRD]]", positionalCount: 1...3, summary: "",
        optionsWithoutHelp: [
            Option("flag", nil, ""), Option("v", nil, ""), Option("value", "N", ""),
            Option("set", "NAME=VALUE", "", repeats: true), Option("span", "SPAN", ""),
        ],
        notes: "")

    static func problem(with bytes: [UInt8]) -> String? {
        // As the program gets them: ended by NUL, and anything that is not UTF-8 made so.
        let words = bytes.split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        let expected = Plain(words)
        let arguments: Arguments
        do {
            arguments = try Arguments(words, usage)
        } catch let error as UsageError {
            if error.message.isEmpty { return "refused without a word" }
            return expected.isWrong ? nil : "\(words) is refused: \(error.message)"
        } catch {
            return "\(words) throws \(error)"
        }
        if expected.isWrong { return "\(words) is let in" }
        if arguments.asksForHelp != expected.asksForHelp { return "\(words) asks for help: \(arguments.asksForHelp)" }
        if arguments.asksForHelp { return nil }
        if arguments.positionals.map(bytesOf) != expected.positionals { return "\(words): \(arguments.positionals)" }
        for option in usage.allOptions {
            let values = arguments.texts(option.name).map(bytesOf)
            if values != expected.values[bytesOf(option.name)] ?? [] || arguments.has(option.name) == values.isEmpty {
                return "\(words): --\(option.name) is \(values)"
            }
        }
        return valueProblem(arguments)
    }

    private static func bytesOf(_ text: String) -> [UInt8] { Array(text.utf8) }

    private static func valueProblem(_ arguments: Arguments) -> String? {
        let range = -1_000...1_000
        let number = try? arguments.number("value", in: range)
        if let text = arguments.text("value") {
            let expected = PlainRules.number(bytesOf(text)).flatMap { $0.magnitude <= 1_000 ? Int($0) : nil }
            if number != expected { return "'\(text)' is the number \(String(describing: number))" }
        }
        if let text = arguments.text("span") {
            let units = ["s": 1, "m": 60, "h": 3_600, "d": 86_400] as [String: Int128]
            let count = PlainRules.number(bytesOf(text).dropLast())
            let unit = text.utf8.last.flatMap { units[String(UnicodeScalar($0))] }
            var expected: Int64?
            if let count, let unit, count >= 0, count < 1 << 64, count * unit <= 3_153_600_000 {
                expected = Int64(count * unit)
            }
            let seconds = try? arguments.seconds("span")
            if seconds != expected { return "'\(text)' is \(String(describing: seconds)) seconds" }
        }
        return nil
    }

    /// The same rules over bytes: `--name VALUE`, `--name=VALUE`, `--` ends the options, `-` is a positional.
    private struct Plain {
        var positionals: [[UInt8]] = []
        var values: [[UInt8]: [[UInt8]]] = [:]
        var asksForHelp = false
        var isWrong = false

        init(_ words: [String]) {
            let words = words.map { Array($0.utf8) }
            var index = 0
            var areOver = false
            while index < words.count {
                let word = words[index]
                index += 1
                if areOver || word != Array("-h".utf8) && !word.starts(with: "--".utf8) {
                    positionals.append(word)
                } else if word.count == 2 && word[1] == UInt8(ascii: "-") {
                    areOver = true
                } else if word == Array("-h".utf8) || word == Array("--help".utf8) {
                    asksForHelp = true
                } else {
                    let equals = word.firstIndex(of: UInt8(ascii: "="))
                    let name = Array(word[2..<(equals ?? word.count)])
                    let isFlag = [Array("flag".utf8), Array("v".utf8)].contains(name)
                    let takesValue = ["value", "set", "span"].map { Array($0.utf8) }.contains(name)
                    var value: [UInt8] = []
                    if let equals {
                        value = Array(word[(equals + 1)...])
                    } else if takesValue && index < words.count {
                        value = words[index]
                        index += 1
                    } else if takesValue {
                        isWrong = true
                    }
                    if !isFlag && !takesValue || isFlag && equals != nil { isWrong = true }
                    if values[name] != nil && name != Array("set".utf8) { isWrong = true }
                    values[name, default: []].append(value)
                    // Nothing behind a mistake is read, not even --help.
                    if isWrong { return }
                }
            }
            if !asksForHelp && !(1...3).contains(positionals.count) { isWrong = true }
        }
    }
}
