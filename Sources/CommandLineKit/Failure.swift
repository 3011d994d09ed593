/// A failure with its message; the program prints it and ends with exit code 1.
package struct Failure: Error, CustomStringConvertible {
    package let message: String

    package init(_ message: String) { self.message = message }

    package var description: String { message }
}

/// How a program of this package ends.
package enum ExitCode: Int32, Sendable {
    case success = 0
    case failure = 1
    case usage = 2
    /// What a command was to check could not be checked, so nothing is known to be wrong.
    case notChecked = 3
    /// Stopped by SIGINT or SIGTERM before it was done; shells report SIGINT as 128 and the signal's number.
    case interrupted = 130
}
