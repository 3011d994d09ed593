import CommandLineKit
import Foundation
import StockQueue
import StockQueueMigrations

/// The file or standard input that an import reads.
struct InputFile {
    static let file = Argument(.file("FILE"), help: "the file to import; - for standard input")
    static let unterminatedLastLine = "the last line has no line break; it was read as a complete line"

    let source: ByteSource
    /// The file's path; nil for standard input.
    let name: String?
    /// Of an input that can be read only once: the SHA-256 of what has been read.
    let hashAtEnd: () -> String?
    let form: InputForm
    fileprivate let descriptor: Int32
    /// Where the file begins; nil for an input that can be read only once.
    private let start: off_t?

    /// - Parameters:
    ///   - from: the command's option for presets.
    ///   - stop: ends the reading.
    init(_ input: ParsedCommand, from: Option<InputPreset?>, stop: StopSignal? = nil) throws {
        form = try InputFormOptions.form(input, from)
        let name = input[Self.file]
        descriptor = name == "-" ? STDIN_FILENO : Foundation.open(name, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw Failure("cannot open \(name.shownName): \(String(cString: strerror(errno)))") }
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
            throw Failure("\(name.shownName) is a folder")
        }
        self.name = name == "-" ? nil : name
        var source = ByteSource(descriptor: descriptor, interruptDescriptor: stop?.abortDescriptor)
        start = source.position
        if start == nil {
            let hash = StreamHash()
            source.onRead = { hash.sha256.append($0) }
            hashAtEnd = { hash.sha256.hexDigest() }
        } else {
            hashAtEnd = { nil }
        }
        self.source = source
    }

    private final class StreamHash {
        var sha256 = SHA256()
    }

    var canBeReadTwice: Bool { start != nil }

    /// The SHA-256 of a file, which is read for it; nil for an input that can be read only once.
    func sha256() throws -> String? {
        guard let start, let present = source.position else { return nil }
        try source.goBack(to: start)
        var hash = SHA256()
        var bytes: [UInt8] = []
        while try source.read(into: &bytes) == .bytes {
            hash.append(bytes[...])
            bytes.removeAll(keepingCapacity: true)
        }
        try source.goBack(to: present)
        return hash.hexDigest()
    }

    /// Says how many lines a preset left out; nothing if it left out none.
    static func note(leftOut: [String: Int]) {
        for (reason, lines) in leftOut.sorted(by: { $0.key < $1.key }) {
            Terminal.note("\(counted(lines, "line")) left out: \(reason)")
        }
    }
}

/// Reports the lines that an import rejects: number and reason on standard error, and the line itself in a file.
final class RejectsFile {
    static let rejects = Option(
        "rejects", .file(),
        help:
            "write bad lines to this file with their numbers and reasons, to be corrected and imported again with the same options"
    )

    private let file: FileHandle?
    private let path: String?
    private var isHeaderWritten = false
    private var count = 0
    private let isListed: Bool
    /// Lines reported one by one; later ones are only counted.
    private static let reportedMax = 20
    var form: RejectsForm?

    /// Opens the file of rejects; only after connecting, so that a mistyped database URL leaves no empty one.
    ///
    /// - Parameters:
    ///   - isListed: bad lines are printed elsewhere, not reported.
    ///   - appends: the file has bad lines of an earlier run.
    init(_ input: ParsedCommand, _ read: InputFile, isListed: Bool = false, appends: Bool = false) throws {
        self.isListed = isListed
        path = input[Self.rejects]
        guard let path else {
            file = nil
            return
        }
        let descriptor = Foundation.open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        if descriptor < 0 { throw Failure("cannot write \(path.shownName): \(String(cString: strerror(errno)))") }
        file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var source = stat()
        var target = stat()
        guard fstat(read.descriptor, &source) == 0, fstat(descriptor, &target) == 0 else {
            throw Failure("cannot examine \(path.shownName): \(String(cString: strerror(errno)))")
        }
        if source.st_dev == target.st_dev && source.st_ino == target.st_ino {
            throw Failure("--rejects \(path.shownName) is the file that is read; name another one")
        }
        // A device or a pipe has no length to cut.
        if target.st_mode & S_IFMT != S_IFREG { return }
        if appends {
            isHeaderWritten = target.st_size > 0
            if lseek(descriptor, 0, SEEK_END) >= 0 { return }
            throw Failure("cannot append to \(path.shownName): \(String(cString: strerror(errno)))")
        }
        // It may be the work of an hour: the lines of an earlier import, corrected.
        if target.st_size > 0 {
            throw Failure("--rejects \(path.shownName) is not empty; name another file, or remove it")
        }
    }

    /// Says where the bad lines are, and what to do with them.
    func noteRest() {
        guard count > 0, let path else { return }
        let (lines, them) = count == 1 ? ("the bad line is", "it") : ("the bad lines are", "them")
        Terminal.note(
            "\(lines) in \(path.shownName): correct \(them), keep \(NoteColumn.names.joined(separator: " and ")), and import "
                + "that file with the same options of columns and keys")
    }

    func add(_ error: ValidationError, raw: ArraySlice<UInt8>) throws {
        count += 1
        if isListed {
            // Its reason is printed with the other lines.
        } else if count <= Self.reportedMax {
            Terminal.note(error.description)
        } else if count == Self.reportedMax + 1 {
            Terminal.note("… further lines are only counted\(file == nil ? "; --rejects FILE keeps them" : "")")
        }
        guard let file, let form else { return }
        var bytes = form.line(error, raw)
        if !isHeaderWritten { bytes = form.beginning + bytes }
        if let problem = Terminal.write(bytes[...], to: file.fileDescriptor) {
            throw Failure("cannot write the file of rejects: \(String(cString: strerror(problem)))")
        }
        isHeaderWritten = true
    }
}
