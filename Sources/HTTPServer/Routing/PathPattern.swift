/// A path with named parts: `/v2/inventories/{id}/transactions`. A last part `{name*}` matches the rest of a path.
package struct PathPattern: Sendable, Hashable, CustomStringConvertible, ExpressibleByStringLiteral {
    enum Segment: Sendable, Hashable {
        case literal(String)
        case parameter(String)
        case rest(String)
    }

    package let description: String
    let segments: [Segment]

    /// - Parameter text: begins with a slash; a mistake in it ends the process, because it is part of the program.
    package init(_ text: String) {
        precondition(text.hasPrefix("/"), "the pattern \(text) begins without a slash")
        description = text
        segments = text.split(separator: "/").map { part in
            guard part.hasPrefix("{") else { return .literal(String(part)) }
            precondition(
                part.hasSuffix("}"), "the pattern \(text) has a part that begins with { and does not end with }")
            let name = part.dropFirst().dropLast()
            return name.hasSuffix("*") ? .rest(String(name.dropLast())) : .parameter(String(name))
        }
        for segment in segments.dropLast() {
            if case .rest = segment { preconditionFailure("the pattern \(text) goes on behind {…*}") }
        }
    }

    package init(stringLiteral text: String) { self.init(text) }

    var parameterNames: [String] {
        segments.compactMap { segment in
            switch segment {
            case .literal: nil
            case .parameter(let name), .rest(let name): name
            }
        }
    }
}

/// A value that a part of a path can be.
package protocol PathValue {
    /// - Returns: nil if the text is no such value.
    init?(pathText: String)
}

extension String: PathValue {
    package init?(pathText: String) { self = pathText }
}

extension Int64: PathValue {
    /// Digits only, with a minus sign before them or not: `+5` and `05x` are no numbers.
    package init?(pathText: String) {
        guard pathText.utf8.first != UInt8(ascii: "+"), let value = Int64(pathText) else { return nil }
        self = value
    }
}

/// The named parts of a path that matched.
package struct PathParameters: Sendable {
    /// Decoded, in the order of the pattern.
    let values: [(name: String, text: String)]

    /// - Returns: nil if the text is no such value; the answer is usually 404, because there is no such resource.
    package func value<Value: PathValue>(_ name: String, as type: Value.Type = Value.self) -> Value? {
        Value(pathText: self[name])
    }

    /// The text of a part. The name must be one of the pattern's.
    package subscript(name: String) -> String {
        guard let value = values.first(where: { $0.name == name }) else {
            preconditionFailure("the pattern has no part \(name)")
        }
        return value.text
    }
}
