import StockFormats

/// A JSON value as it is printed: on one line, keys in the order given.
package indirect enum JSON: Sendable {
    case object([(key: String, value: JSON)])
    case array([JSON])
    case string(String)
    case integer(Int64)
    case number(Double)
    case bool(Bool)
    case null
    /// A text that is JSON already, such as a row that the server formatted.
    case encoded(String)

    package static func integer(_ value: Int) -> JSON { .integer(Int64(value)) }

    package static func stringOrNull(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }

    package var text: String {
        var writer = JSONWriter()
        write(to: &writer)
        return writer.text
    }

    private func write(to writer: inout JSONWriter) {
        switch self {
        case .object(let members):
            writer.object { writer in
                for member in members {
                    writer.key(member.key)
                    member.value.write(to: &writer)
                }
            }
        case .array(let elements):
            writer.array { writer in for element in elements { element.write(to: &writer) } }
        case .string(let text): writer.string(text)
        case .integer(let value): writer.integer(value)
        case .number(let value): writer.encoded(value.isFinite ? String(value) : "null")
        case .bool(let value): writer.bool(value)
        case .null: writer.null()
        case .encoded(let text): writer.encoded(text)
        }
    }
}

extension JSON: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral {
    package init(dictionaryLiteral elements: (String, JSON)...) { self = .object(elements.map { ($0.0, $0.1) }) }

    package init(arrayLiteral elements: JSON...) { self = .array(elements) }
}
