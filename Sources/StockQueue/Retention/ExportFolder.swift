import Foundation
import StockQueuePostgres

/// Where the results of partitions are written before they are dropped.
package struct ExportFolder: Sendable {
    private let path: String
    private let format: Export.Format

    package init(_ path: String, _ format: Export.Format = .csv) { (self.path, self.format) = (path, format) }

    /// Writes a partition to a file that has its name when it is complete and on the disk, and not before.
    ///
    /// - Returns: the file.
    func write(partition: String, _ connection: Connection, _ schema: QueueSchema) throws -> String {
        let file = "\(path)/\(partition).\(format.rawValue)"
        let temporary = "\(path)/.\(partition).\(format.rawValue).\(getpid())"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw OutputError("cannot create \(temporary)") }
        do {
            var export = Export(.results)
            export.format = format
            export.partition = partition
            var output = ByteOutput(descriptor: descriptor, name: temporary)
            _ = try export.write(to: &output, connection, schema)
            guard fsync(descriptor) == 0 else { throw OutputError("cannot write \(temporary) to the disk") }
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        // After fsync has succeeded nothing is left that close could report.
        close(descriptor)
        guard rename(temporary, file) == 0 else { throw OutputError("cannot rename \(temporary)") }
        try syncFolder()
        return file
    }

    /// Without this a power cut could take the name back.
    private func syncFolder() throws(OutputError) {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw OutputError("cannot open \(path)") }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw OutputError("cannot write \(path) to the disk") }
    }
}
