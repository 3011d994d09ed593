/// How a word of the command line becomes a value, and what help says about it.
package struct ValueType<Value: Sendable>: Sendable {
    /// The value's placeholder, for instance `N` or `STORE`.
    package let valueName: String
    package let shape: ValueShape
    /// What a message names as accepted, for instance `a whole number from 1 to 4`.
    package let expectation: String
    /// Returns nil for a word that is not accepted.
    let parse: @Sendable (String) -> Value?

    package init(
        _ valueName: String, shape: ValueShape, expectation: String, parse: @escaping @Sendable (String) -> Value?
    ) {
        self.valueName = valueName
        self.shape = shape
        self.expectation = expectation
        self.parse = parse
    }

    /// The value of a word that a command reads itself; nil for a word that is not accepted.
    package func value(of word: String) -> Value? { parse(word) }

    /// The same values, and the word `none`.
    package var orNone: ValueType<ValueOrNone<Value>> {
        ValueType<ValueOrNone<Value>>(
            "\(valueName)|none", shape: .noneOr(shape), expectation: "\(expectation), or none",
            parse: { [parse] word in word == "none" ? ValueOrNone.none : parse(word).map { .value($0) } })
    }
}

/// What a value looks like, for help.
package indirect enum ValueShape: Sendable, Equatable {
    /// Any text; with a range, a text of that many bytes.
    case text(bytes: ClosedRange<Int>?)
    case wholeNumber(ClosedRange<Int64>)
    case choice([String])
    /// A span of time such as `90s`, `15m`, `24h` or `7d`.
    case duration
    /// A point in time (RFC 3339).
    case time
    case file
    /// The word `none`, or a value of the other shape.
    case noneOr(ValueShape)
}

/// A value, or the word `none`, which clears what was set.
package enum ValueOrNone<Value: Sendable>: Sendable {
    case value(Value)
    case none

    package var value: Value? { if case .value(let value) = self { value } else { nil } }
}

extension ValueType where Value == String {
    package static func text(_ valueName: String, bytes: ClosedRange<Int>? = nil) -> Self {
        let expectation = bytes.map { "\($0.lowerBound) to \($0.upperBound) bytes" } ?? "a text"
        return Self(valueName, shape: .text(bytes: bytes), expectation: expectation) { word in
            bytes?.contains(word.utf8.count) == false ? nil : word
        }
    }

    package static func file(_ valueName: String = "FILE") -> Self {
        Self(valueName, shape: .file, expectation: "the name of a file") { $0 }
    }
}

extension ValueType where Value: FixedWidthInteger {
    package static func wholeNumber(_ range: ClosedRange<Value>, _ valueName: String = "N") -> Self {
        Self(
            valueName, shape: .wholeNumber(Int64(range.lowerBound)...Int64(range.upperBound)),
            expectation: "a whole number from \(range.lowerBound) to \(range.upperBound)"
        ) { word in
            Value(word).flatMap { range.contains($0) ? $0 : nil }
        }
    }
}

extension ValueType where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One of an enum's cases, or of those given.
    ///
    /// - Parameter aliases: other words that are understood.
    package static func choice(
        _ valueName: String, of cases: [Value] = Array(Value.allCases), aliases: [String: Value] = [:]
    ) -> Self {
        let words = cases.map(\.rawValue)
        return Self(valueName, shape: .choice(words), expectation: "one of \(words.joined(separator: ", "))") { word in
            cases.first { $0.rawValue == word } ?? aliases[word]
        }
    }
}

extension ValueType where Value == Bool {
    package static var yesOrNo: Self {
        Self("yes|no", shape: .choice(["yes", "no"]), expectation: "yes or no") { word in
            switch word {
            case "yes": true
            case "no": false
            default: nil
            }
        }
    }
}
