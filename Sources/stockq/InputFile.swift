import CommandLineKit
import Foundation
import StockQueue

/// The file or standard input that an import reads.
struct InputFile {
    static let file = Argument(.file("FILE"), help: "the file to import; - for standard input")
    static let format = Option(
        "format", .choice("csv|ndjson", of: InputFormat.allCases), defaultText: "by the file's name, csv for -",
        help: "how the file is written")

    static let trim = Flag("trim", help: "remove white space at both ends of each field")

    static let unterminatedLastLine = "the last line has no line break; it was read as a complete line"

    let source: ByteSource
    let format: InputFormat
    fileprivate let descriptor: Int32

    /// - Parameter stop: ends the reading.
    init(_ input: ParsedCommand, stop: StopSignal? = nil) throws {
        let name = input[Self.file]
        format = input[Self.format] ?? InputFormat(fileName: name) ?? .csv
        descriptor = name == "-" ? STDIN_FILENO : Foundation.open(name, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw Failure("cannot open \(name.shownName): \(String(cString: strerror(errno)))") }
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
            throw Failure("\(name.shownName) is a folder")
        }
        source = ByteSource(descriptor: descriptor, interruptDescriptor: stop?.abortDescriptor)
    }
}

/// Reports the lines that an import rejects: number and reason on standard error, and the line itself in a file.
final class RejectsFile {
    static let rejects = Option(
        "rejects", .file(), help: "write rejected lines to this file, to be corrected and imported again")

    private let file: FileHandle?
    private var isHeaderWritten = false
    private var count = 0
    /// Lines reported one by one; later ones are only counted.
    private static let reportedMax = 20
    var header: [UInt8] = []

    /// Opens the file of rejects; only after connecting, so that a mistyped database URL does not truncate an existing
    /// one.
    init(_ input: ParsedCommand, _ read: InputFile) throws {
        guard let path = input[Self.rejects] else {
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
        if target.st_mode & S_IFMT == S_IFREG, ftruncate(descriptor, 0) != 0 {
            throw Failure("cannot empty \(path.shownName): \(String(cString: strerror(errno)))")
        }
    }

    func add(_ error: ValidationError, raw: ArraySlice<UInt8>) throws {
        count += 1
        if count <= Self.reportedMax {
            Terminal.note(error.description)
        } else if count == Self.reportedMax + 1 {
            Terminal.note("… further lines are only counted\(file == nil ? "; --rejects FILE keeps them" : "")")
        }
        guard let file else { return }
        var bytes = raw
        if bytes.last != UInt8(ascii: "\n") { bytes.append(UInt8(ascii: "\n")) }
        if !isHeaderWritten { bytes = header + bytes }
        if let problem = Terminal.write(bytes, to: file.fileDescriptor) {
            throw Failure("cannot write the file of rejects: \(String(cString: strerror(problem)))")
        }
        isHeaderWritten = true
    }
}
