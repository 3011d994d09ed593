import StockModel

/// A position in the changes of stock of a queue, to go on from later. Store it as it encodes; what is in it may change.
public struct ChangeCursor: Sendable, Hashable {
    /// As `changes_after` takes it.
    private let text: String

    /// Before the first change.
    public static let beginning = ChangeCursor(text: "0")
}

extension ChangeCursor: LosslessStringConvertible {
    /// As the SQL function `changes_after` takes it: `1204-57`, and within a batch `1204-57-300`.
    public var description: String { text }

    public init?(_ description: String) {
        guard CursorText.isValid(description, numbers: 1...3) else { return nil }
        self.init(text: description)
    }
}

extension ChangeCursor: Codable {
    public init(from decoder: any Decoder) throws { self = try CursorText.decode(decoder) }

    public func encode(to encoder: any Encoder) throws { try CursorText.encode(text, encoder) }
}
