extension Duration {
    package static func minutes(_ minutes: Int) -> Duration { .seconds(minutes * 60) }

    package static func hours(_ hours: Int) -> Duration { .seconds(hours * 3_600) }

    package static func days(_ days: Int) -> Duration { .seconds(days * 86_400) }

    /// Whole milliseconds, rounded down.
    package var milliseconds: Int {
        let (seconds, attoseconds) = components
        return Int(seconds) * 1_000 + Int(attoseconds / 1_000_000_000_000_000)
    }

    /// Whole seconds, rounded down.
    package var wholeSeconds: Int64 { components.seconds }

    private static let units: [(suffix: String, milliseconds: Int)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1),
    ]

    /// Is read and not written.
    private static let week = (suffix: "w", milliseconds: 7 * 86_400_000)

    /// A whole number with the largest unit that fits: `200ms`, `5s`, `15m`, `24h` as `1d`.
    package var text: String {
        let milliseconds = milliseconds
        if milliseconds == 0 { return "0ms" }
        let unit = Self.units.first { milliseconds % $0.milliseconds == 0 } ?? ("ms", 1)
        return "\(milliseconds / unit.milliseconds)\(unit.suffix)"
    }

    /// A whole number with a unit: `200ms`, `5s`, `15m`, `24h`, `7d` or `2w`. Nil for anything else, and for more than 100
    /// years.
    package init?(text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let count = Int(digits),
            let unit = ([Self.week] + Self.units).first(where: { $0.suffix == text.dropFirst(digits.count) }),
            count <= 3_153_600_000_000 / unit.milliseconds
        else { return nil }
        self = .milliseconds(count * unit.milliseconds)
    }
}
