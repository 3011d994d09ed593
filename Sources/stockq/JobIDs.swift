import CommandLineKit
import Foundation
import StockFormats

/// The ids of jobs: words of the command line, or `-` for standard input.
enum JobIDs {
    enum Word: Sendable {
        case id(Int64)
        case standardInput
    }

    /// More ids come on standard input.
    static let wordsMax = 1_000
    /// Ids of one call, which is one transaction.
    static let inputMax = 100_000

    static func argument(min: Int, help: String) -> Argument<[Word]> {
        Argument(
            repeated: type, count: min...wordsMax, help: "\(help); - reads them from standard input",
            ifTooMany: "give up to \(grouped(inputMax)) ids on standard input, with - as the only word")
    }

    private static let type = ValueType<Word>(
        "JOB", shape: .wholeNumber(1...Int64.max),
        expectation: "a whole number from 1 to \(Int64.max), or - for standard input"
    ) { word in
        word == "-" ? .standardInput : id(word).map { .id($0) }
    }

    private static func id(_ word: some StringProtocol) -> Int64? { Int64(word).flatMap { $0 > 0 ? $0 : nil } }

    /// The ids that the words name.
    static func read(_ words: [Word], _ input: ParsedCommand) throws -> [Int64] {
        let ids = words.compactMap { word -> Int64? in if case .id(let id) = word { id } else { nil } }
        if ids.count == words.count { return ids }
        if words.count > 1 { throw input.usageError("- is for ids on standard input, and must be the only word") }
        return try readStandardInput()
    }

    /// Ids with blanks, commas or line breaks between them.
    private static func readStandardInput() throws -> [Int64] {
        let source = ByteSource(descriptor: STDIN_FILENO)
        var bytes: [UInt8] = []
        // An id has at most 19 digits.
        while try source.read(into: &bytes) != .end {
            if bytes.count > inputMax * 24 { throw tooMany }
        }
        var ids: [Int64] = []
        for word in bytes.split(whereSeparator: { $0 <= 0x20 || $0 == UInt8(ascii: ",") }) {
            guard let id = id(String(decoding: word, as: UTF8.self)) else {
                throw Failure(
                    "standard input: an id is a whole number from 1, not '\(String(decoding: word.prefix(60), as: UTF8.self).shown)'"
                )
            }
            ids.append(id)
            if ids.count > inputMax { throw tooMany }
        }
        if ids.isEmpty { throw Failure("standard input has no ids of jobs") }
        return ids
    }

    private static let tooMany = Failure(
        "more than \(grouped(inputMax)) ids on standard input; give them in several calls")
}
