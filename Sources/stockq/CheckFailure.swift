import CommandLineKit

/// What a command was to check could not be checked. The program prints the reason and ends with exit code 3, because 1
/// means that the check found something wrong.
struct CheckFailure: Error {
    let reason: any Error

    /// Runs a check whose errors are of this kind; wrong usage stays wrong usage.
    static func wrapping<Value>(_ check: () throws -> Value) throws -> Value {
        do {
            return try check()
        } catch let error as UsageError {
            throw error
        } catch {
            throw CheckFailure(reason: error)
        }
    }
}
