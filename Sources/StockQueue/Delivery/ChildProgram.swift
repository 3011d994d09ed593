import CLinux
import Dispatch
import Foundation

/// A program that was started with `posix_spawn`. It has the standard streams and no other file of this process.
///
/// Not Foundation's `Process`: it lists the open files of its process, and with more than 1,300 of them, which a gateway
/// may have, it can read beyond its buffer and crash.
final class ChildProgram: Sendable {
    /// How a program ended.
    enum End: Sendable, Hashable, CustomStringConvertible {
        case exited(Int32)
        case signaled(Int32)

        var description: String {
            switch self {
            case .exited(let code): "ended with \(code)"
            case .signaled(let signal): "was ended by signal \(signal)"
            }
        }
    }

    /// The error number of a program that could not be started.
    struct StartError: Error {
        let number: Int32
    }

    private let processID: pid_t

    /// - Parameters:
    ///   - input: a descriptor for standard input.
    ///   - errors: a descriptor for standard error. Standard output is discarded.
    init(
        _ path: String, _ arguments: [String], environment: [String: String], input: Int32, errors: Int32
    ) throws(StartError) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO)
        posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1)
        // What this process ignores or blocks is no concern of the program.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var words = ([path] + arguments).map { strdup($0) } + [nil]
        var variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + variables { free(text) } }
        var started = pid_t()
        let number = posix_spawn(&started, path, &actions, &attributes, &words, &variables)
        if number != 0 { throw StartError(number: number) }
        processID = started
    }

    /// Waits until the program ends; kills it when the time is over. To be called once.
    ///
    /// - Returns: nil when it was killed.
    func end(within timeout: Duration) -> End? {
        let ended = DispatchSemaphore(value: 0)
        let status = ProcessStatus()
        let waiter = Thread { [processID] in
            status.wait(for: processID)
            ended.signal()
        }
        waiter.name = "child program"
        waiter.start()
        if ended.wait(timeout: .now() + .milliseconds(timeout.milliseconds)) == .success { return status.end }
        // Not waited for before the signal, so the id is still the program's.
        kill(processID, SIGKILL)
        ended.wait()
        return nil
    }
}

/// The status of a process that has ended.
private final class ProcessStatus: @unchecked Sendable {
    // Sendable: one thread writes it before it signals the semaphore that the other one waits for.
    private var status: Int32 = 0

    func wait(for processID: pid_t) {
        while waitpid(processID, &status, 0) < 0 && errno == EINTR {}
    }

    var end: ChildProgram.End {
        let signal = status & 0x7f
        return signal == 0 ? .exited((status >> 8) & 0xff) : .signaled(signal)
    }
}
