import StockQueueLocking

/// A value that a test and the tasks it starts share.
public final class Shared<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    public init(_ value: Value) { state = Mutex(value) }

    public var value: Value {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }

    public func update(_ change: @Sendable (inout Value) -> Void) { state.withLock { change(&$0) } }
}
