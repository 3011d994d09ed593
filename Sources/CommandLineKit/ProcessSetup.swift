import Foundation

/// What a program does before it reads its arguments.
package enum ProcessSetup {
    /// The words behind the program's name.
    ///
    /// - Throws: `UsageError` for an argument that is not UTF-8: Swift would replace its bytes, and a store or an item
    ///   would get another name.
    package static func arguments(of program: String) throws(UsageError) -> [String] {
        for index in 1..<max(1, Int(CommandLine.argc)) {
            if let argument = CommandLine.unsafeArgv[index], String(validatingCString: argument) == nil {
                throw UsageError("argument \(index) is not valid UTF-8", invocation: program)
            }
        }
        return Array(CommandLine.arguments.dropFirst())
    }

    /// Undoes what a parent process may have changed: blocked signals and closed standard streams.
    package static func begin() {
        signal(SIGPIPE, SIG_IGN)
        openStandardStreams()
        // SIGTERM must arrive even if the parent blocked it.
        var none = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, nil)
    }

    /// A process started with a standard stream closed would give its number to the next file it opens, a connection to
    /// the database for instance, and write its log lines there.
    private static func openStandardStreams() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number is this one.
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_RDONLY : O_WRONLY)
        }
    }
}
