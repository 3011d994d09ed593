import Foundation
import StockModel

/// A time that an input gives without its zone, read as a clock of one zone shows it.
enum LocalTime {
    /// From 2001-01-01, where Foundation counts from, to 2000-01-01.
    private static let secondsTo2000 = -31_622_400.0

    /// - Returns: nil for another text, and for a time that clocks of the zone step over. Of a time that they show twice
    ///   it is the first.
    static func microsecondsSince2000(_ bytes: ArraySlice<UInt8>, in zone: TimeZone) -> Int64? {
        guard let local = RFC3339.localMicrosecondsSince2000(bytes) else { return nil }
        // The offsets of the day before and of the day behind: zones change theirs less often.
        let candidates = [-86_400_000_000, 86_400_000_000].map { local - offset(of: zone, at: local + $0) }
        return candidates.filter { $0 + offset(of: zone, at: $0) == local }.min()
    }

    /// In microseconds.
    private static func offset(of zone: TimeZone, at microsecondsSince2000: Int64) -> Int64 {
        let seconds = Double(microsecondsSince2000) / 1_000_000 + secondsTo2000
        return Int64(zone.secondsFromGMT(for: Date(timeIntervalSinceReferenceDate: seconds))) * 1_000_000
    }
}

extension FieldDefinition {
    /// Parses a time that may be without its zone.
    ///
    /// - Parameter zone: of the times without one; nil where the input must say it.
    func parseTime(_ bytes: ArraySlice<UInt8>, in zone: TimeZone?) throws(ValidationError) -> FieldValue {
        do throws(ValidationError) {
            return try parse(bytes)
        } catch {
            let shown = ValidationError.shown(bytes)
            guard let zone else {
                if RFC3339.localMicrosecondsSince2000(bytes) == nil { throw error }
                throw ValidationError(
                    "\(name) is '\(shown)', a time without its zone; --time-zone names it, such as Europe/Berlin",
                    code: .malformed, field: name)
            }
            if let time = LocalTime.microsecondsSince2000(bytes, in: zone) { return .time(microsecondsSince2000: time) }
            throw ValidationError(
                "\(name) must be a time of \(zone.identifier) like 2026-03-01 12:00 or 01.03.2026 12:00, not '\(shown)'",
                code: .malformed, field: name)
        }
    }
}
