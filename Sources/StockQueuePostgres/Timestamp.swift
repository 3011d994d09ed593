import Foundation

/// A moment as PostgreSQL keeps it: whole microseconds since 2000-01-01 00:00 UTC.
public struct Timestamp: Sendable, Hashable, Comparable {
    public let microsecondsSince2000: Int64

    public init(microsecondsSince2000: Int64) { self.microsecondsSince2000 = microsecondsSince2000 }

    /// Seconds from 1970 to 2000, as PostgreSQL counts days without leap seconds.
    private static let secondsTo2000: Int64 = 946_684_800

    /// A date beyond what 64 bits of microseconds hold is infinite.
    public init(_ date: Date) {
        let microseconds = ((date.timeIntervalSince1970 - Double(Self.secondsTo2000)) * 1e6).rounded()
        microsecondsSince2000 = Int64(exactly: microseconds) ?? (microseconds > 0 ? .max : .min)
    }

    public var date: Date {
        Date(timeIntervalSince1970: Double(microsecondsSince2000) / 1e6 + Double(Self.secondsTo2000))
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microsecondsSince2000 < right.microsecondsSince2000
    }
}

extension Timestamp: CustomStringConvertible {
    /// RFC 3339 in UTC with milliseconds, for instance `2026-03-01T12:00:00.250Z`.
    public var description: String {
        if microsecondsSince2000 == .max { return "infinity" }
        if microsecondsSince2000 == .min { return "-infinity" }
        return date.formatted(
            .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted))
    }
}
