import StockFormats

/// A part of the program that must cope with any bytes, and a check of what it makes of them.
///
/// The fuzzer (`make fuzz`) and the replay of its corpus (`make test`) use the same entry points.
public struct FuzzTarget: Sendable {
    public let name: String
    /// Longer inputs are truncated: they are slower and find nothing new.
    public let bytesMax: Int
    private let check: @Sendable ([UInt8]) -> String?

    /// - Returns: what is wrong; nil if nothing is.
    public func problem(with bytes: [UInt8]) -> String? { check(Array(bytes.prefix(bytesMax))) }

    public static let all = [
        FuzzTarget(name: "jobs-csv", bytesMax: 2_048) { JobsCheck.problem(with: $0, .csv) },
        FuzzTarget(name: "jobs-ndjson", bytesMax: 2_048) { JobsCheck.problem(with: $0, .ndjson) },
        FuzzTarget(name: "items-csv", bytesMax: 2_048) { ItemsCheck.problem(with: $0, .csv) },
        FuzzTarget(name: "items-ndjson", bytesMax: 2_048) { ItemsCheck.problem(with: $0, .ndjson) },
        FuzzTarget(name: "files", bytesMax: 2_048, check: FilesCheck.problem),
        FuzzTarget(name: "json", bytesMax: 1_024, check: JSONCheck.problem),
        FuzzTarget(name: "http", bytesMax: 2_048, check: RequestsCheck.problem),
        FuzzTarget(name: "http-connection", bytesMax: 256, check: ConnectionCheck.problem),
        FuzzTarget(name: "timestamps", bytesMax: 64, check: TimestampCheck.problem),
        FuzzTarget(name: "arguments", bytesMax: 512, check: ArgumentsCheck.problem),
        FuzzTarget(name: "results", bytesMax: 1_024, check: ResultsCheck.problem),
        FuzzTarget(name: "keys", bytesMax: 2_048, check: KeysCheck.problem),
        FuzzTarget(name: "decide", bytesMax: 1_024, check: DecisionCheck.problem),
    ]
}

/// Makes choices from the bytes of an input, one after another; from zeros when the bytes are used up.
struct ByteFeed {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isEmpty: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    mutating func below(_ limit: Int) -> Int { Int(byte()) % limit }

    mutating func chance(_ cases: Int) -> Bool { below(cases) == cases - 1 }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in byte() } }

    mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) -> Value {
        bytes(MemoryLayout<Value>.size).reduce(0) { $0 << 8 | Value(truncatingIfNeeded: $1) }
    }

    mutating func pick<Value>(_ values: [Value]) -> Value { values[below(values.count)] }
}
