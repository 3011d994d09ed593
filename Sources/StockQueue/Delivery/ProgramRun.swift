import Dispatch
import Foundation

/// Runs a program that gets a text on standard input; its exit code is the answer.
enum ProgramRun {
    /// How much of what a program says on standard error is kept.
    private static let errorBytesMax = 500

    /// Blocks the thread until the program ends or the time is over, when it is killed.
    ///
    /// - Returns: nil when the program ended with 0, otherwise why the run failed.
    static func failure(
        _ path: String, _ arguments: [String], input: String, timeout: Duration, environment: [String: String]? = nil
    ) -> String? {
        let name = URL(fileURLWithPath: path).lastPathComponent
        // A file too: a write to a pipe that the program does not read would block, or raise SIGPIPE.
        let text = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("stockq-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: text) }
        guard
            FileManager.default.createFile(
                atPath: text.path, contents: Data(input.utf8), attributes: [.posixPermissions: 0o600]),
            let inputFile = FileHandle(forReadingAtPath: text.path)
        else { return "the temporary file \(text.path) cannot be made" }
        // A file, because reading a pipe to its end would wait for the program's own children.
        let errors = URL(fileURLWithPath: NSTemporaryDirectory()).appendingPathComponent("stockq-\(UUID().uuidString)")
        guard FileManager.default.createFile(atPath: errors.path, contents: nil),
            let errorFile = FileHandle(forUpdatingAtPath: errors.path)
        else { return "the temporary file \(errors.path) cannot be made" }
        defer { try? FileManager.default.removeItem(at: errors) }
        let child: ChildProgram
        do {
            child = try ChildProgram(
                path, arguments, environment: environment ?? ProcessInfo.processInfo.environment,
                input: inputFile.fileDescriptor, errors: errorFile.fileDescriptor)
        } catch {
            return "\(name) could not be started: \(String(cString: strerror(error.number)))"
        }
        guard let end = child.end(within: timeout) else { return "\(name) did not end within \(timeout.text)" }
        if end == .exited(0) { return nil }
        let said = (try? FileHandle(forReadingFrom: errors).read(upToCount: errorBytesMax)) ?? Data()
        let message = String(decoding: said, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        return "\(name) \(end)" + (message.isEmpty ? "" : ": \(message)")
    }
}
