/// A SQLSTATE: the five characters by which PostgreSQL names an error (PostgreSQL manual, appendix A "PostgreSQL Error
/// Codes").
public struct SQLState: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public let rawValue: String

    public init(rawValue: String) { self.rawValue = rawValue }

    public var description: String { rawValue }

    /// The first two characters.
    public var errorClass: Substring { rawValue.prefix(2) }

    // MARK: connections

    /// SQL client unable to establish SQL connection: the connection string cannot be read.
    public static let cannotEstablishConnection = SQLState(rawValue: "08001")
    public static let invalidAuthorization = SQLState(rawValue: "28000")
    public static let invalidPassword = SQLState(rawValue: "28P01")
    public static let unknownDatabase = SQLState(rawValue: "3D000")
    public static let tooManyConnections = SQLState(rawValue: "53300")
    public static let cannotConnectNow = SQLState(rawValue: "57P03")

    // MARK: statements

    public static let readOnlyTransaction = SQLState(rawValue: "25006")
    /// What the server cannot do; of this program: a database whose encoding is not UTF8.
    public static let featureNotSupported = SQLState(rawValue: "0A000")
    /// There is no prepared statement of that name.
    public static let unknownPreparedStatement = SQLState(rawValue: "26000")
    public static let deadlockDetected = SQLState(rawValue: "40P01")
    public static let duplicatePreparedStatement = SQLState(rawValue: "42P05")
    public static let duplicateSchema = SQLState(rawValue: "42P06")
    public static let insufficientPrivilege = SQLState(rawValue: "42501")
    public static let undefinedTable = SQLState(rawValue: "42P01")
    public static let uniqueViolation = SQLState(rawValue: "23505")
    public static let checkViolation = SQLState(rawValue: "23514")
    /// The producer's store has reached its limit of ready jobs.
    public static let configurationLimitExceeded = SQLState(rawValue: "53400")
    public static let lockNotAvailable = SQLState(rawValue: "55P03")
    /// A statement was canceled: by `statement_timeout`, or because it was asked to.
    public static let queryCanceled = SQLState(rawValue: "57014")

    // MARK: classes

    /// Class 22, data exception, and class 23, integrity constraint violation.
    public var isDataError: Bool { errorClass == "22" || errorClass == "23" }

    /// The state of the server, whatever a statement does: class 08 (connection), 53 (insufficient resources: a full
    /// disk), 57 (operator intervention), 58 (system error).
    public var isServerCondition: Bool { Self.serverConditions.contains(errorClass) }

    private static let serverConditions: Set<Substring> = ["08", "53", "57", "58"]

    /// Another transaction is in the way: class 40 (transaction rollback: a deadlock, a serialization failure) and 55
    /// (object not in prerequisite state: a lock).
    public var isConflict: Bool { errorClass == "40" || errorClass == "55" }

    /// Class 57P0x, operator intervention: the server ends the session after reporting it.
    public var endsSession: Bool { rawValue.hasPrefix("57P") }
}
