import StockGateway
import Testing

@Suite struct TransactionIDTests {
    private static let jobs: [Int64] =
        [1, 2, 3, 255, 65_536, 1 << 31, 1 << 32, 1 << 52, .max] + (0..<1_000).map { $0 * 7_919 + 11 }

    @Test("the job id is found again in its UUID")
    func roundTrip() {
        for job in Self.jobs {
            let text = TransactionID.text(.job(job))
            #expect(TransactionID.entry(text) == .job(job))
            #expect(TransactionID.entry(text.uppercased()) == .job(job))
        }
        #expect(TransactionID.entry(TransactionID.text(.opening)) == .opening)
    }

    @Test("the text is a UUID of version 4 and variant 1, another one for each job")
    func form() {
        let texts = Self.jobs.map { TransactionID.text(.job($0)) }
        #expect(Set(texts).count == Set(Self.jobs).count)
        for text in texts {
            #expect(text.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
        }
    }

    @Test("the form never changes: clients keep ids")
    func stable() {
        #expect(TransactionID.text(.job(1)) == "910a2dec-8902-45cc-87cc-80fa40e7d2a0")
        #expect(TransactionID.text(.opening) == "e220a839-7b1d-4cda-bf93-65c5dc6d94b0")
    }

    @Test(
        "a text that is no transaction's UUID is unknown",
        arguments: [
            "", "7", "da9a0008-d2c4-4a17-bbc6-5e0b2f9430aa", "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-4fff-bfff-ffffffffffff", "zzzzzzzz-zzzz-4zzz-bzzz-zzzzzzzzzzzz",
            "da9a0008d2c44a17bbc65e0b2f9430aa", "{da9a0008-d2c4-4a17-bbc6-5e0b2f9430aa}",
            "+a9a0008-d2c4-4a17-bbc6-5e0b2f9430aa",
        ])
    func unknown(text: String) { #expect(TransactionID.entry(text) == nil) }

    @Test("a changed digit makes a UUID unknown")
    func changed() {
        let text = TransactionID.text(.job(12_345))
        for index in text.indices where text[index] != "-" {
            var other = text
            other.replaceSubrange(index...index, with: text[index] == "0" ? "1" : "0")
            #expect(TransactionID.entry(other) == nil)
        }
    }
}
