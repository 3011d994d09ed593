import Foundation
import StockQueueLocking

/// Standard output and standard error.
enum Terminal {
    static let errorIsTerminal = isatty(STDERR_FILENO) == 1

    /// Writes a line to standard output.
    ///
    /// When that fails the program goes on, since its work may not be for standard output alone, and ends with exit code 1.
    static func print(_ line: String) {
        guard outputProblem == nil, let problem = write(line + "\n", to: STDOUT_FILENO) else { return }
        outputFailure.withLock { $0 = problem }
        // Whoever closed the pipe knows.
        if problem != EPIPE { note("stockq: cannot write to standard output: \(String(cString: strerror(problem)))") }
    }

    private static let outputFailure = Mutex<Int32?>(nil)

    /// The error number of the first write to standard output that failed.
    static var outputProblem: Int32? { outputFailure.withLock { $0 } }

    /// Writes a line to standard error, above the progress line if there is one.
    static func note(_ line: String) {
        progress.withLock { shown in
            if shown { write("\r\u{1B}[K", to: STDERR_FILENO) }
            shown = false
            write(line + "\n", to: STDERR_FILENO)
        }
    }

    /// Whether a progress line stands at the bottom.
    private static let progress = Mutex(false)

    /// Replaces the progress line; nothing where standard error is no terminal.
    static func showProgress(_ line: String) {
        guard errorIsTerminal else { return }
        progress.withLock { shown in
            write("\r\u{1B}[K" + line, to: STDERR_FILENO)
            shown = true
        }
    }

    /// Leaves the last progress line standing and goes below it.
    static func endProgress() {
        progress.withLock { shown in
            if shown { write("\n", to: STDERR_FILENO) }
            shown = false
        }
    }

    /// - Returns: nil, or the error's number.
    @discardableResult
    private static func write(_ text: String, to descriptor: Int32) -> Int32? {
        write(Array(text.utf8)[...], to: descriptor)
    }

    /// Writes all of it.
    ///
    /// - Returns: nil, or the error's number.
    static func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Int32? {
        var bytes = bytes
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return count < 0 ? errno : EIO }
            bytes = bytes.dropFirst(count)
        }
        return nil
    }
}

/// Whole numbers with thin groups: 1,234,567.
func grouped(_ number: some BinaryInteger) -> String {
    let digits = String(number.magnitude)
    var groups: [Substring] = []
    var rest = digits[...]
    while rest.count > 3 {
        groups.insert(rest.suffix(3), at: 0)
        rest = rest.dropLast(3)
    }
    groups.insert(rest, at: 0)
    return (number < 0 ? "-" : "") + groups.joined(separator: ",")
}

/// Rows as columns, the first row being the heading; numbers to the right.
func table(_ rows: [[String]]) -> String {
    guard let heading = rows.first else { return "" }
    let widths = heading.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    let isNumber = heading.indices.map { column in
        rows.count > 1 && rows.dropFirst().allSatisfy { $0[column].allSatisfy { "0123456789,.-+–%".contains($0) } }
    }
    return rows.map { row in
        row.indices.map { column in
            let fill = String(repeating: " ", count: widths[column] - row[column].count)
            return isNumber[column] ? fill + row[column] : row[column] + fill
        }.joined(separator: "  ").trimmingTrailingBlanks()
    }.joined(separator: "\n")
}

extension String {
    fileprivate func trimmingTrailingBlanks() -> String {
        var text = self[...]
        while text.last == " " { text = text.dropLast() }
        return String(text)
    }

    /// Without control characters, which could play tricks on a terminal.
    var printable: String {
        String(
            String.UnicodeScalarView(unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 })
        )
    }
}
