import FuzzTargets
import StockQueuePostgres
import Testing

/// A result of the wrong shape ends the process: none of its values may reach the ledger.
@Suite struct ResultSetTests {
    @Test("a number of the wrong length ends the process") func number() async {
        await #expect(processExitsWith: .failure) { _ = MadeResult.of([0, 0, 0, 1]).int64(0, 0) }
        await #expect(processExitsWith: .failure) { _ = MadeResult.of([0, 0, 0, 0, 0, 0, 0, 1]).int32(0, 0) }
        await #expect(processExitsWith: .failure) { _ = MadeResult.of([1]).int16(0, 0) }
        #expect(MadeResult.of([0, 0, 0, 1]).int32(0, 0) == 1)
    }

    @Test("a boolean of the wrong length ends the process") func boolean() async {
        await #expect(processExitsWith: .failure) { _ = MadeResult.of([]).bool(0, 0) }
        await #expect(processExitsWith: .failure) { _ = MadeResult.of(Array("true".utf8)).bool(0, 0) }
        #expect(MadeResult.of([1]).bool(0, 0))
    }

    @Test("a tuple id of the wrong length ends the process") func tupleID() async {
        await #expect(processExitsWith: .failure) { _ = MadeResult.of([0, 0, 0, 0, 1]).tupleID(0, 0) }
    }

    @Test("a non-optional accessor ends the process on NULL") func null() async {
        await #expect(processExitsWith: .failure) { _ = MadeResult.of(nil).string(0, 0) }
        await #expect(processExitsWith: .failure) { _ = MadeResult.of(nil).bool(0, 0) }
        #expect(MadeResult.of(nil).optionalString(0, 0) == nil)
        #expect(MadeResult.of([]).string(0, 0) == "")
    }

    @Test("a missing column ends the process") func missingColumn() async {
        await #expect(processExitsWith: .failure) { _ = MadeResult.of([1]).string(0, 1) }
    }
}
