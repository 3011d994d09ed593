import Foundation
import StockModel
import StockQueueLocking

/// Standard output and standard error.
///
/// Every line is written with escapes for the characters that a terminal obeys or does not show (`VisibleText`),
/// whichever way they came into it: names, reasons, the server's messages, file names.
package enum Terminal {
    package static let errorIsTerminal = isatty(STDERR_FILENO) == 1

    /// Writes a line to standard output.
    ///
    /// If that fails the program continues, because it may do more than print, and ends with exit code 1.
    package static func print(_ line: String) { print(exactly: VisibleText.escaped(line, keepsLineBreaks: true)) }

    /// Writes a text as it is, such as a script for another program.
    package static func print(exactly text: String) {
        guard outputProblem == nil, let problem = write(text + "\n", to: STDOUT_FILENO) else { return }
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
        progress.withLock { shown in
            if shown { write("\r\u{1B}[K", to: STDERR_FILENO) }
            shown = false
            write(VisibleText.escaped(line, keepsLineBreaks: true) + "\n", to: STDERR_FILENO)
        }
    }

    /// Whether the last line on the terminal is the progress line.
    private static let progress = Mutex(false)

    /// Replaces the progress line; does nothing if standard error is not a terminal.
    ///
    /// A line that the terminal wraps could not be replaced, so its end is cut. The last column stays empty: some
    /// terminals wrap when it is written.
    package static func showProgress(_ line: String) {
        guard errorIsTerminal else { return }
        let line = line.printable.cut(toColumns: errorColumns - 1)
        progress.withLock { shown in
            write("\r\u{1B}[K" + line, to: STDERR_FILENO)
            shown = true
        }
    }

    /// The columns of the terminal now; 80 where it does not say.
    private static var errorColumns: Int {
        var size = winsize()
        let isKnown = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        return isKnown ? Int(size.ws_col) : 80
    }

    /// Keeps the last progress line on the terminal and continues below it.
    package static func endProgress() {
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
