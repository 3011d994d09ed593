import FuzzTargets
import StockQueuePostgres
import Testing

/// An answer of another shape than the statement's ends the process: nothing that it says may reach the ledger.
@Suite struct ResultSetTests {
    @Test func aNumberOfAnotherLength() async {
        await #expect(processExitsWith: .failure) { _ = MadeResult.of([0, 0, 0, 1]).int64(0, 0) }
        await #expect(processExitsWith: .failure) { _ = MadeResult.of([0, 0, 0, 0, 0, 0, 0, 1]).int32(0, 0) }
        await #expect(processExitsWith: .failure) { _ = MadeResult.of([1]).int16(0, 0) }
        #expect(MadeResult.of([0, 0, 0, 1]).int32(0, 0) == 1)
    }

    @Test func aBoolOfAnotherLength() async {
        await #expect(processExitsWith: .failure) { _ = MadeResult.of([]).bool(0, 0) }
        await #expect(processExitsWith: .failure) { _ = MadeResult.of(Array("true".utf8)).bool(0, 0) }
        #expect(MadeResult.of([1]).bool(0, 0))
    }

    @Test func aPlaceOfAnotherLength() async {
        await #expect(processExitsWith: .failure) { _ = MadeResult.of([0, 0, 0, 0, 1]).tupleID(0, 0) }
    }

    @Test func aNULLInAPlainForm() async {
        await #expect(processExitsWith: .failure) { _ = MadeResult.of(nil).string(0, 0) }
        await #expect(processExitsWith: .failure) { _ = MadeResult.of(nil).bool(0, 0) }
        #expect(MadeResult.of(nil).optionalString(0, 0) == nil)
        #expect(MadeResult.of([]).string(0, 0) == "")
    }

    @Test func aColumnThatIsNotThere() async {
        await #expect(processExitsWith: .failure) { _ = MadeResult.of([1]).string(0, 1) }
    }
}
