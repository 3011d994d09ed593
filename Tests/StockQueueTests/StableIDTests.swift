import StockQueue
import Testing

/// Which ids become stable, and which transactions are passed, without a server.
@Suite("Stable ids and passed transactions") struct StableIDTests {
    /// A tracker with a clock of its own that looks every 100 ms.
    struct Observer {
        var tracker = StableIDTracker()
        var passed: Set<TransactionID> = []
        var nowMs = 0
        var stableID: Int64 = 0

        @discardableResult
        mutating func look(_ lastDrawnID: Int64, _ writers: JobWriter..., afterMs: Int = 100)
            -> StableIDTracker.Findings
        {
            nowMs += afterMs
            let findings = tracker.findings(
                StableIDTracker.Look(lastDrawnID: lastDrawnID, writers: writers), passed: passed, nowMs: nowMs)
            passed.formUnion(findings.passed.map(\.id))
            passed.subtract(findings.ended)
            stableID = max(stableID, findings.stableID ?? 0)
            return findings
        }

        /// Looks until an id waited long enough for its writers.
        mutating func lookUntilPassed(_ lastDrawnID: Int64, _ writer: JobWriter) {
            for _ in 0..<12 { look(lastDrawnID, writer) }
        }
    }

    static func writer(_ session: String, _ transaction: TransactionID?, process: Int32? = 1) -> JobWriter {
        JobWriter(session: session, processID: process, transactionID: transaction)
    }

    @Test("without writers an id is stable at once") func noWriters() {
        var observer = Observer()
        observer.look(10)
        #expect(observer.stableID == 10)
    }

    @Test("an id is stable when the writers of its time have ended, whatever began later") func laterWriters() {
        var observer = Observer()
        observer.look(10, Self.writer("1/1", 100))
        #expect(observer.stableID == 0)
        observer.look(20, Self.writer("1/1", 100), Self.writer("2/1", 101))
        #expect(observer.stableID == 0)
        observer.look(30, Self.writer("2/1", 101))
        #expect(observer.stableID == 10)
        observer.look(40, Self.writer("3/1", 102))
        #expect(observer.stableID == 30)
    }

    @Test("a writer that stays open is passed after a second, with the last id before it") func passesOpenWriter() {
        var observer = Observer()
        observer.look(10)
        let open = Self.writer("1/1", 100)
        observer.look(20, open)
        #expect(observer.stableID == 10)
        for _ in 0..<9 {
            #expect(observer.look(30, open).passed == [])
            #expect(observer.stableID == 10)
        }
        #expect(observer.look(40, open).passed == [PassedTransaction(id: 100, lastIDBefore: 10)])
        #expect(observer.stableID == 40, "nothing else is open")
        // From now on it holds nothing back.
        #expect(observer.look(50, open, Self.writer("2/1", 101)).passed == [])
        observer.look(60, open)
        #expect(observer.stableID == 60)
    }

    @Test("the end of a passed transaction is found once") func endOfPassed() {
        var observer = Observer()
        observer.lookUntilPassed(20, Self.writer("1/1", 100))
        #expect(observer.passed == [100])
        #expect(observer.look(30).ended == [100])
        #expect(observer.look(40).ended == [])
        #expect(observer.stableID == 40)
    }

    @Test("a transaction whose id is not known yet is not passed, and keeps its first id when it is known")
    func unknownID() {
        var observer = Observer()
        observer.look(5)
        for _ in 0..<30 { #expect(observer.look(20, Self.writer("1/1", nil)).passed == []) }
        #expect(observer.stableID == 5)
        let findings = observer.look(30, Self.writer("1/1", 100))
        #expect(findings.passed == [PassedTransaction(id: 100, lastIDBefore: 5)])
        #expect(observer.stableID == 30)
    }

    @Test("a prepared transaction is passed like any other") func prepared() {
        var observer = Observer()
        observer.look(10)
        observer.look(20, Self.writer("1/1", 100))
        for _ in 0..<11 { observer.look(30, Self.writer("1/1", 100, process: nil)) }
        #expect(observer.passed == [100])
        observer.look(40, Self.writer("1/1", 100, process: nil))
        #expect(observer.stableID == 40)
    }

    @Test("no more transactions are passed than a claim asks for") func tooMany() {
        var observer = Observer()
        let writers = (0...StableIDTracker.passedMax).map { Self.writer("\($0)/1", TransactionID(100 + $0)) }
        for _ in 0..<30 {
            observer.nowMs += 100
            let findings = observer.tracker.findings(
                StableIDTracker.Look(lastDrawnID: 10, writers: writers), passed: [], nowMs: observer.nowMs)
            #expect(findings.passed == [])
            #expect(findings.stableID ?? 0 == 0)
        }
    }

    @Test("where passed transactions end often, an id waits longer for its writers") func patience() {
        var observer = Observer()
        var passes = 0
        // Transactions of two seconds, one after the other.
        for number in 1...100 {
            for _ in 0..<20 { observer.look(Int64(number), Self.writer("\(number)/1", TransactionID(number))) }
            if observer.passed == [TransactionID(number)] { passes += 1 }
        }
        #expect((1...15).contains(passes), "\(passes) of 100 transactions were passed")
        // One that stays open is passed all the same.
        for _ in 0..<1_000 { observer.look(1_000, Self.writer("x/1", 1_000)) }
        #expect(observer.passed == [1_000])
    }

    @Test("another server's ids start everything over") func otherServer() {
        var observer = Observer()
        observer.look(1_000, Self.writer("1/1", 100))
        #expect(observer.look(10).startsOver)
        #expect(!observer.look(20).startsOver)
    }

    @Test("a writer that is open for ten seconds is reported, and again every minute") func overdue() {
        var observer = Observer()
        let open = Self.writer("1/1", 100)
        var reports: [Int] = []
        for _ in 0..<1_500 {
            for report in observer.look(10, open).overdue {
                #expect(report.writer == open)
                reports.append(report.seconds)
            }
        }
        #expect(reports == [10, 70, 130])
    }
}
