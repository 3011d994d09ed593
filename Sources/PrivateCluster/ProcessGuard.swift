import Foundation

/// Kills the child processes of this process when it ends, in whichever way: a crash and SIGKILL run no code of ours.
///
/// Each guarded process has a mark in its environment, which its own children inherit. A small shell waits for the end
/// of its standard input; this process has the other end of that pipe. Then the shell kills every process with the mark.
///
/// `PR_SET_PDEATHSIG` would act at the end of the *thread* that started the child, and not reach a child's children.
public enum ProcessGuard {
    package static let markName = "STOCKQ_PROCESS_GUARD"
    private static let mark = "\(getpid())-\(UInt64.random(in: 0 ... .max))"

    /// The shell and its pipe, which live as long as this process.
    private static let shell = Result { try startShell() }

    /// The environment of this process with the mark, for a child that must not outlive it.
    public static func environment() throws -> [String: String] {
        _ = try shell.get()
        return unmarkedEnvironment.merging([markName: mark], uniquingKeysWith: { $1 })
    }

    /// The environment of this process without the mark of another one, for a shell that must outlive it and cleans up.
    static var unmarkedEnvironment: [String: String] {
        ProcessInfo.processInfo.environment.filter { $0.key != markName }
    }

    /// A process that another one starts at this moment is found by a later search.
    private static let script = """
        trap '' INT TERM HUP
        while read -r line; do :; done
        searches=0
        while [ "$searches" -lt 3 ]; do
            searches=$((searches + 1))
            for file in $(grep -slzxF -- "$1" /proc/[0-9]*/environ); do
                process=${file#/proc/}
                kill -KILL "${process%/environ}" 2>/dev/null && searches=0
            done
            sleep 0.1
        done
        """

    private static func startShell() throws -> (process: Process, lifeline: Pipe) {
        let shell = Process()
        let lifeline = Pipe()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = ["-c", script, "sh", "\(markName)=\(mark)"]
        shell.environment = unmarkedEnvironment
        shell.currentDirectoryURL = URL(fileURLWithPath: "/")
        shell.standardInput = lifeline
        shell.standardOutput = FileHandle.nullDevice
        shell.standardError = FileHandle.nullDevice
        try PrivateCluster.withoutBlockedSignals { try shell.run() }
        return (shell, lifeline)
    }
}
