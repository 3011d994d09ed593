import Foundation
import StockQueueLocking

/// Standard output and standard error.
package enum Terminal {
    package static let errorIsTerminal = isatty(STDERR_FILENO) == 1

    /// Writes a line to standard output.
    ///
    /// If that fails the program continues, because it may do more than print, and ends with exit code 1.
    package static func print(_ line: String) {
        guard outputProblem == nil, let problem = write(line + "\n", to: STDOUT_FILENO) else { return }
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
            write(line + "\n", to: STDERR_FILENO)
        }
    }

    /// Whether the last line on the terminal is the progress line.
    private static let progress = Mutex(false)

    /// Replaces the progress line; does nothing if standard error is not a terminal.
    package static func showProgress(_ line: String) {
        guard errorIsTerminal else { return }
        progress.withLock { shown in
            write("\r\u{1B}[K" + line, to: STDERR_FILENO)
            shown = true
        }
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
