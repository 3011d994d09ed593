/// A type whose cases are the labels of an enum in the database, in the same order.
public protocol DatabaseLabel: CaseIterable, RawRepresentable, Sendable, Hashable where RawValue == String {
    /// The name of the enum's type in the queue's schema.
    static var typeName: String { get }

    /// The position of the case among all cases, from 0. A statement sends it instead of the label.
    var ordinal: Int16 { get }
}

extension DatabaseLabel {
    /// The labels as messages name them: `adjust, allocate, …`.
    public static var list: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
