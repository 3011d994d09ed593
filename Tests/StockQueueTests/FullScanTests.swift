import StockQueue
import Testing

/// The ranges of ids in which jobs below the low-water marks are looked for, without a server.
@Suite("Ranges of the full scan") struct FullScanTests {
    @Test("a quick range grows and a slow one shrinks, within bounds", arguments: [Int64(1), 1 << 39, 1 << 62, .max])
    func adapts(step: Int64) {
        var range = FullScan.Range()
        range.step = step
        for _ in 0..<100 { range.adapt(toMilliseconds: 0) }
        #expect(range.step >= step && range.step > 1 << 38)
        for _ in 0..<100 { range.adapt(toMilliseconds: 1_000) }
        #expect(range.step == 1_024)
    }

    @Test("a range ends at the highest id that there can be") func end() {
        var range = FullScan.Range()
        range.after = .max - 10
        #expect(range.upTo == .max)
        range.advance(from: range.upTo, highest: .max - 5)
        #expect(!range.isUnderWay)
    }
}
