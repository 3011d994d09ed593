import CommandLineKit
import Foundation

/// The terminal while a program draws on all of it: the alternate screen, no echo, keys at once. What it was before comes
/// back however the program ends.
final class TopTerminal {
    private let before: termios

    /// `_POSIX_VDISABLE`, which Swift does not import.
    private static let noKey: UInt8 = 0
    private static let enter = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[2J"
    private static let leave = "\u{1B}[?25h\u{1B}[?1049l"

    /// - Returns: nil where input or output is no terminal.
    init?() {
        var now = termios()
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1, tcgetattr(STDIN_FILENO, &now) == 0,
            !["", "dumb"].contains(ProcessInfo.processInfo.environment["TERM"] ?? "")
        else { return nil }
        before = now
    }

    /// Runs a body with the screen.
    func show<Value>(_ body: () throws -> Value) rethrows -> Value {
        var raw = before
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        // Neither may stop the program while the screen is changed; Ctrl-C is a signal as ever.
        withUnsafeMutableBytes(of: &raw.c_cc) { keys in
            keys[Int(VSUSP)] = Self.noKey
            keys[Int(VQUIT)] = Self.noKey
            keys[Int(VMIN)] = 0
            keys[Int(VTIME)] = 0
        }
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw)
        write(Self.enter)
        defer {
            write(Self.leave)
            var before = before
            tcsetattr(STDIN_FILENO, TCSADRAIN, &before)
        }
        return try body()
    }

    /// Draws lines from the top; what was there before goes.
    func draw(_ lines: [String]) {
        let body = lines.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n")
        write("\u{1B}[H" + body + "\u{1B}[J")
    }

    /// Waits for keys, at most so long.
    ///
    /// - Returns: the bytes that were typed; nil when the terminal is gone.
    func read(milliseconds: Int) -> [UInt8]? {
        var ready = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        guard poll(&ready, 1, Int32(milliseconds)) > 0 else { return [] }
        if ready.revents & Int16(POLLHUP | POLLERR | POLLNVAL) != 0 && ready.revents & Int16(POLLIN) == 0 { return nil }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = Foundation.read(STDIN_FILENO, &bytes, bytes.count)
        if count < 0 && errno != EINTR && errno != EAGAIN { return nil }
        return Array(bytes.prefix(max(0, count)))
    }

    /// The size now; nil where output is no terminal, or does not say.
    static var size: (rows: Int, columns: Int)? {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return nil }
        return (Int(size.ws_row), Int(size.ws_col))
    }

    private func write(_ text: String) { _ = Terminal.write(Array(text.utf8)[...], to: STDOUT_FILENO) }
}

/// A key of the terminal.
enum TopKey: Equatable {
    case up, down, pageUp, pageDown, enter, back, next, previous
    case character(Character)

    /// The keys that some bytes are.
    static func keys(_ bytes: [UInt8]) -> [TopKey] {
        var keys: [TopKey] = []
        var rest = bytes[...]
        while let first = rest.first {
            if let (sequence, key) = sequences.first(where: { rest.starts(with: $0.bytes.utf8) }) {
                keys.append(key)
                rest = rest.dropFirst(sequence.utf8.count)
            } else {
                rest.removeFirst()
                switch first {
                case 0x0A, 0x0D: keys.append(.enter)
                case 0x09: keys.append(.next)
                case 0x1B, 0x7F, 0x08: keys.append(.back)
                case 0x20..<0x7F: keys.append(.character(Character(UnicodeScalar(first))))
                default: break
                }
            }
        }
        return keys
    }

    private static let sequences: [(bytes: String, key: TopKey)] = [
        ("\u{1B}[A", .up), ("\u{1B}OA", .up), ("\u{1B}[B", .down), ("\u{1B}OB", .down), ("\u{1B}[5~", .pageUp),
        ("\u{1B}[6~", .pageDown), ("\u{1B}[Z", .previous), ("\u{1B}[C", .next), ("\u{1B}[D", .previous),
        ("\u{1B}OC", .next), ("\u{1B}OD", .previous),
    ]
}
