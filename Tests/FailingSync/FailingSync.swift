import Glibc

// Loaded into a PostgreSQL server before the C library (LD_PRELOAD). While the file that FAILING_SYNC names exists,
// fsync and fdatasync fail. This is no target of the package: the test `failingSync` compiles it.

@_cdecl("fsync") public func failingSync(_ file: Int32) -> Int32 { sync(file, by: "fsync") }

@_cdecl("fdatasync") public func failingDataSync(_ file: Int32) -> Int32 { sync(file, by: "fdatasync") }

private func sync(_ file: Int32, by name: String) -> Int32 {
    if let flag = getenv("FAILING_SYNC"), access(flag, F_OK) == 0 {
        errno = EIO
        return -1
    }
    let next = UnsafeMutableRawPointer(bitPattern: -1)  // RTLD_NEXT, whose macro Swift does not import
    typealias Sync = @convention(c) (Int32) -> Int32
    return unsafeBitCast(dlsym(next, name), to: Sync.self)(file)
}
