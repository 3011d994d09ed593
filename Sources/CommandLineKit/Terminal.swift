import Foundation
import StockModel
import StockQueueLocking

/// Standard output and standard error.
///
/// Every line is written with escapes for the characters that a terminal obeys or does not show (`VisibleText`),
/// whichever way they came into it: names, reasons, the server's messages, file names.
package enum Terminal {
    package static let errorIsTerminal = isatty(STDERR_FILENO) == 1
    package static let outputIsTerminal = isatty(STDOUT_FILENO) == 1
    /// A question can be asked and answered.
    package static let canAsk = errorIsTerminal && isatty(STDIN_FILENO) == 1

    /// Whether styles are shown: on a terminal that has them, unless `NO_COLOR` is set (https://no-color.org).
    package static let usesColor: Bool = {
        let environment = ProcessInfo.processInfo.environment
        let isUnwanted = !(environment["NO_COLOR"] ?? "").isEmpty
        return outputIsTerminal && !isUnwanted && !["", "dumb"].contains(environment["TERM"] ?? "")
    }()

    /// The columns of the terminal to which standard output goes, now; nil where it goes elsewhere.
    package static var outputColumns: Int? { outputIsTerminal ? columns(of: STDOUT_FILENO) : nil }

    /// The columns for help: those of the terminal, but no more than are good to read; 80 where the text goes elsewhere.
    package static var helpColumns: Int { min(100, outputColumns ?? 80) }

    /// Writes a text to standard output. On a terminal a line that is too long for it is broken at blanks, unless it is
    /// a JSON object, which is one line for a program.
    ///
    /// If that fails the program continues, because it may do more than print, and ends with exit code 1.
    ///
    /// - Parameter style: shown on a terminal that has styles.
    package static func print(_ text: String, style: TextStyle? = nil) {
        let escaped = fitted(VisibleText.escaped(text, keepsLineBreaks: true), to: outputColumns)
        if let style, usesColor {
            print(
                exactly: escaped.split(separator: "\n", omittingEmptySubsequences: false)
                    .map { style.styled(String($0)) }.joined(separator: "\n"))
        } else {
            print(exactly: escaped)
        }
    }

    /// Writes a table to standard output.
    package static func print(_ table: TextTable) {
        print(exactly: table.text(columns: outputColumns, usesColor: usesColor))
    }

    private static func fitted(_ text: String, to columns: Int?) -> String {
        guard let columns, !text.hasPrefix("{") else { return text }
        return text.split(separator: "\n", omittingEmptySubsequences: false)
            .flatMap { String($0).wrapped(toColumns: columns) }.joined(separator: "\n")
    }

    /// Writes a text as it is, such as a script for another program, above the progress line if there is one.
    package static func print(exactly text: String) {
        guard outputProblem == nil else { return }
        let problem = progress.withLock { shown in
            if shown && outputIsTerminal {
                write("\r\u{1B}[K", to: STDERR_FILENO)
                shown = false
            }
            return write(text + "\n", to: STDOUT_FILENO)
        }
        guard let problem else { return }
        outputFailure.withLock { $0 = problem }
        // The reader of a pipe closed it on purpose.
        if problem != EPIPE { note("stockq: cannot write to standard output: \(String(cString: strerror(problem)))") }
    }

    /// Writes a JSON value on a line of its own to standard output.
    package static func print(_ json: JSON) { print(json.text) }

    private static let outputFailure = Mutex<Int32?>(nil)

    /// The error number of the first write to standard output that failed.
    package static var outputProblem: Int32? { outputFailure.withLock { $0 } }

    /// Writes a line to standard error, above the progress line if there is one.
    package static func note(_ line: String) {
        let escaped = VisibleText.escaped(line, keepsLineBreaks: true)
        let text = fitted(escaped, to: errorIsTerminal ? columns(of: STDERR_FILENO) : nil)
        progress.withLock { shown in
            // One write, so that no other process's output comes between.
            write((shown ? "\r\u{1B}[K" : "") + text + "\n", to: STDERR_FILENO)
            shown = false
        }
    }

    /// Asks a question on the terminal that is answered by yes or no.
    ///
    /// - Returns: whether the answer is yes; the end of the input is no.
    package static func ask(_ question: String) -> Bool {
        write(VisibleText.escaped(question) + " [y/N] ", to: STDERR_FILENO)
        let answer = readLine()?.trimmingCharacters(in: .whitespaces).lowercased()
        if answer == nil { write("\n", to: STDERR_FILENO) }
        return ["y", "yes"].contains(answer)
    }

    /// Whether the last line on the terminal is the progress line.
    private static let progress = Mutex(false)

    /// Replaces the progress line; does nothing if standard error is not a terminal.
    ///
    /// A line that the terminal wraps could not be replaced, so its end is cut. The last column stays empty: some
    /// terminals wrap when it is written.
    package static func showProgress(_ line: String) {
        guard errorIsTerminal else { return }
        let line = line.printable.cut(toColumns: columns(of: STDERR_FILENO) - 1)
        progress.withLock { shown in
            write(emptiedLine + line, to: STDERR_FILENO)
            shown = true
        }
    }

    /// The columns of a terminal now; 80 where it does not say.
    private static func columns(of descriptor: Int32) -> Int {
        var size = winsize()
        let isKnown = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return isKnown ? Int(size.ws_col) : 80
    }

    /// Keeps the last progress line on the terminal and continues below it.
    package static func endProgress() { leaveProgress("\n") }

    /// Removes the progress line, because what comes next says the same.
    package static func clearProgress() { leaveProgress(emptiedLine) }

    private static let emptiedLine = "\r\u{1B}[K"

    private static func leaveProgress(_ text: String) {
        progress.withLock { shown in
            if shown { write(text, to: STDERR_FILENO) }
            shown = false
        }
    }

    /// - Returns: nil, or the error's number.
    @discardableResult
    private static func write(_ text: String, to descriptor: Int32) -> Int32? {
        write(Array(text.utf8)[...], to: descriptor)
    }

    /// Writes all bytes.
    ///
    /// - Returns: nil, or the error's number.
    package static func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Int32? {
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
