/// A position in one of a batch's tables. Each table has an index type of its own, so that using one for another does
/// not compile.
public protocol BatchIndex: RawRepresentable, Hashable, Sendable, Comparable where RawValue == Int32 {
    init(rawValue: Int32)
}

extension BatchIndex {
    @inlinable
    public init(_ position: Int) { self.init(rawValue: Int32(position)) }

    @inlinable
    public var position: Int { Int(rawValue) }

    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The index of an item among those that the batch's jobs name.
public struct ItemIndex: BatchIndex {
    public let rawValue: Int32

    @inlinable
    public init(rawValue: Int32) { self.rawValue = rawValue }
}

/// The index of a group among those of the batch.
public struct GroupIndex: BatchIndex {
    public let rawValue: Int32

    @inlinable
    public init(rawValue: Int32) { self.rawValue = rawValue }
}

/// The index of an idempotency key among those of the batch.
public struct KeyIndex: BatchIndex {
    public let rawValue: Int32

    @inlinable
    public init(rawValue: Int32) { self.rawValue = rawValue }
}

/// The index of a job among those that the batch claimed.
public struct JobIndex: BatchIndex {
    public let rawValue: Int32

    @inlinable
    public init(rawValue: Int32) { self.rawValue = rawValue }
}

extension Array where Element == ItemState {
    @inlinable
    public subscript(item: ItemIndex) -> ItemState {
        get { self[item.position] }
        set { self[item.position] = newValue }
    }
}

extension Array where Element == KeyState? {
    @inlinable
    public subscript(key: KeyIndex) -> KeyState? {
        get { self[key.position] }
        set { self[key.position] = newValue }
    }
}

extension Array where Element == ClaimedJob {
    @inlinable
    public subscript(job: JobIndex) -> ClaimedJob { self[job.position] }
}
