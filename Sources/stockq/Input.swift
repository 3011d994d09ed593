import CommandLineKit
import Foundation
import StockQueue

/// The file or standard input that an import reads, and the file for what it rejects.
struct Input {
    let source: ByteSource
    let format: InputFormat
    fileprivate let descriptor: Int32

    static let options = [
        Option("format", "csv|ndjson", "how the file is written; default: by its name, csv for -"),
        Option("rejects", "FILE", "write the lines that were not taken here, to mend and import again"),
    ]

    static let endedInMidLine =
        "the file ends in mid-line: its last line has no line break and was taken as it stood"

    /// - Parameter stop: ends the reading.
    init(_ arguments: Arguments, stop: StopSignal? = nil) throws {
        let name = arguments.positionals[0]
        if let text = arguments.text("format") {
            guard let format = InputFormat(rawValue: text) else {
                throw UsageError("--format must be csv or ndjson, not '\(text)'", arguments.usage)
            }
            self.format = format
        } else {
            format = InputFormat(fileName: name) ?? .csv
        }
        descriptor = name == "-" ? STDIN_FILENO : Foundation.open(name, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw Failure("cannot open \(name): \(String(cString: strerror(errno)))") }
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { throw Failure("\(name) is a folder") }
        source = ByteSource(descriptor: descriptor, stop: stop)
    }
}

/// Tells the lines that were not taken: by number and reason on standard error, and as they stood into a file.
final class Rejects {
    private let file: FileHandle?
    private var isHeaderWritten = false
    private var count = 0
    /// Lines told one by one; after that only counted, a terminal is no place for a million lines.
    private static let toldMax = 20
    var header: [UInt8] = []

    /// Opens the file of rejects; once the database is reached, so that a typing error there does not cost the last one.
    init(_ arguments: Arguments, _ input: Input) throws {
        guard let path = arguments.text("rejects") else {
            file = nil
            return
        }
        let descriptor = Foundation.open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        if descriptor < 0 { throw Failure("cannot write \(path): \(String(cString: strerror(errno)))") }
        var read = stat()
        var written = stat()
        guard fstat(input.descriptor, &read) == 0, fstat(descriptor, &written) == 0 else {
            throw Failure("cannot poll at \(path): \(String(cString: strerror(errno)))")
        }
        if read.st_dev == written.st_dev && read.st_ino == written.st_ino {
            close(descriptor)
            throw Failure("--rejects \(path) is the file that is read; name another one")
        }
        // A device or a pipe has no length to cut.
        if written.st_mode & S_IFMT == S_IFREG, ftruncate(descriptor, 0) != 0 {
            throw Failure("cannot empty \(path): \(String(cString: strerror(errno)))")
        }
        file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    func take(line: Int, raw: ArraySlice<UInt8>, reason: String) throws {
        count += 1
        if count <= Self.toldMax {
            Terminal.note("line \(line): \(reason)")
        } else if count == Self.toldMax + 1 {
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
