import Foundation

/// A small file system in memory, which a test can fill.
final class SmallFileSystem {
    /// Only root may mount, and not in every container.
    static let isPossible = (try? SmallFileSystem(megabytes: 1)) != nil

    let path: String

    init(megabytes: Int) throws {
        path = "/tmp/stockq-small-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        guard mount("none", path, "tmpfs", 0, "size=\(megabytes)m,mode=1777") == 0 else {
            rmdir(path)
            throw POSIXError(.init(rawValue: errno) ?? .EPERM)
        }
    }

    deinit {
        umount2(path, Int32(MNT_DETACH))
        rmdir(path)
    }

    /// Fills the file system.
    ///
    /// - Returns: the path of the file that fills it.
    func fill() throws -> String {
        let file = path + "/ballast"
        let descriptor = open(file, O_CREAT | O_WRONLY, 0o600)
        let block = [UInt8](repeating: 0, count: 1 << 16)
        while write(descriptor, block, block.count) > 0 {}
        close(descriptor)
        return file
    }
}
