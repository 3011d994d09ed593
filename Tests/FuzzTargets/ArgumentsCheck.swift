import CommandLineKit
import StockQueuePostgres

/// Reads command lines of any words by a program's spec, and compares the result with the same rules written over
/// bytes.
enum ArgumentsCheck {
    private static let first = Argument(.text("FIRST"), help: "")
    private static let more = Argument(repeated: .text("MORE"), count: 0...2, help: "")
    private static let flag = Flag("flag", help: "")
    private static let short = Flag("v", help: "")
    private static let value = Option("value", .wholeNumber(-1_000...1_000), help: "")
    private static let set = Option(repeated: "set", .text("NAME=VALUE"), help: "")
    private static let span = Option("span", spanType, help: "")
    private static let spanType = ValueType("SPAN", shape: .duration, expectation: "a span") { Duration(text: $0) }
    private static let global = Option("global", .text("TEXT"), help: "")

    private static let program = ProgramSpec(
        name: "fuzz", summary: "",
        commands: [
            CommandSpec(
                "try", "", arguments: [first, more], options: [flag, short, value, set, span],
                globalOptions: [global])
        ],
        globalOptions: [global])

    static func problem(with bytes: [UInt8]) -> String? {
        // As a program gets them: ended by NUL, with bytes that are not UTF-8 replaced.
        let words = bytes.split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        if let problem = problem(with: words) { return problem }
        // A global option may precede the command, and means the same there.
        let (before, after) = (outcome(["--global", "x", "try"] + words), outcome(["try", "--global", "x"] + words))
        return before == after ? nil : "\(words): \(before) with a global option in front, \(after) with it behind"
    }

    private static func problem(with words: [String]) -> String? {
        let expected = Plain(words)
        let outcome = outcome(["try"] + words)
        switch outcome {
        case .wrong(let message):
            if message.isEmpty { return "\(words) fails without a message" }
            return expected.isWrong ? nil : "\(words) fails: \(message)"
        case .help: return expected.asksForHelp && !expected.isWrong ? nil : "\(words) is answered with help"
        case .other: return "\(words) is no command"
        case .command(let read):
            if expected.isWrong || expected.asksForHelp { return "\(words) is read as \(read)" }
            return read == expected.read ? nil : "\(words) is read as \(read), not as \(expected.read)"
        }
    }

    /// What the program makes of a command line, in a form that can be compared.
    private enum Outcome: Equatable {
        case wrong(String)
        case help
        case other
        case command(Read)
    }

    /// Texts as bytes: as Strings, equal ones may have other bytes.
    private struct Read: Equatable {
        var positionals: [[UInt8]] = []
        var flags: [Bool] = []
        var value: Int?
        var milliseconds: Int?
        var sets: [[UInt8]] = []
        var global: [UInt8]?
    }

    private static func outcome(_ words: [String]) -> Outcome {
        do throws(UsageError) {
            switch try program.interpret(words) {
            case .help: return .help
            case .nothing, .version: return .other
            case .command(let input):
                return .command(
                    Read(
                        positionals: ([input[first]] + input[more]).map(bytesOf), flags: [input[flag], input[short]],
                        value: input[value], milliseconds: input[span]?.milliseconds, sets: input[set].map(bytesOf),
                        global: input[global].map(bytesOf)))
            }
        } catch {
            return .wrong(error.message)
        }
    }

    private static func bytesOf(_ text: String) -> [UInt8] { Array(text.utf8) }

    /// The same rules over bytes: `--name VALUE`, `--name=VALUE`, `--` ends the options, `-` is a positional.
    private struct Plain {
        private(set) var read = Read()
        private(set) var asksForHelp = false
        private(set) var isWrong = false
        private var values: [[UInt8]: [[UInt8]]] = [:]

        init(_ words: [String]) {
            readWords(words.map { Array($0.utf8) })
            if isWrong || asksForHelp { return }
            if !(1...3).contains(read.positionals.count) { isWrong = true }
            convert()
        }

        private mutating func readWords(_ words: [[UInt8]]) {
            var index = 0
            var areOver = false
            // Nothing behind a mistake is read, not even --help.
            while index < words.count, !isWrong {
                let word = words[index]
                index += 1
                if areOver || word != Array("-h".utf8) && !word.starts(with: "--".utf8) {
                    read.positionals.append(word)
                } else if word.count == 2 && word[1] == UInt8(ascii: "-") {
                    areOver = true
                } else if word == Array("-h".utf8) || word == Array("--help".utf8) {
                    asksForHelp = true
                } else {
                    readOption(word, words, &index)
                }
            }
        }

        private mutating func readOption(_ word: [UInt8], _ words: [[UInt8]], _ index: inout Int) {
            let equals = word.firstIndex(of: UInt8(ascii: "="))
            let name = Array(word[2..<(equals ?? word.count)])
            let isFlag = ["flag", "v"].map { Array($0.utf8) }.contains(name)
            let takesValue = ["value", "set", "span", "global"].map { Array($0.utf8) }.contains(name)
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
        }

        private mutating func convert() {
            read.flags = ["flag", "v"].map { values[Array($0.utf8)] != nil }
            read.sets = values[Array("set".utf8)] ?? []
            read.global = values[Array("global".utf8)]?.first
            if let text = values[Array("value".utf8)]?.first {
                let number = PlainRules.number(text).flatMap { $0.magnitude <= 1_000 ? Int($0) : nil }
                if number == nil { isWrong = true }
                read.value = number
            }
            if let text = values[Array("span".utf8)]?.first {
                read.milliseconds = Self.milliseconds(text)
                if read.milliseconds == nil { isWrong = true }
            }
        }

        private static func milliseconds(_ text: [UInt8]) -> Int? {
            let units: [String: Int128] = ["ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
            let digits = text.prefix { (0x30...0x39).contains($0) }
            guard let count = PlainRules.number(Array(digits)),
                let unit = units[String(decoding: text.dropFirst(digits.count), as: UTF8.self)], count < 1 << 63,
                count * unit <= 3_153_600_000_000
            else { return nil }
            return Int(count * unit)
        }
    }
}
