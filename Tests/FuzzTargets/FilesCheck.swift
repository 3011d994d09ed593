import Foundation
import StockFormats
import StockModel

/// Files of spreadsheets and shop systems. The first byte of an input chooses what the others are.
enum FilesCheck {
    static func problem(with bytes: [UInt8]) -> String? {
        var feed = ByteFeed(bytes)
        let choice = feed.below(8)
        let file = Array(bytes.dropFirst())
        switch choice {
        case 0: return presetProblem(.shopifyInventory, file, ItemField.required)
        case 1: return presetProblem(.woocommerceProducts, file, ItemField.required)
        case 2: return presetProblem(.squareInventory, file, ItemField.required)
        case 3: return presetProblem(.shopifyOrders, file, JobField.required)
        case 4: return encodingProblem(file, .utf16LittleEndian, mark: [0xFF, 0xFE])
        case 5: return encodingProblem(file, .utf16BigEndian, mark: [0xFE, 0xFF])
        case 6: return windowsProblem(file)
        default: return chunkProblem(file, InputForm(), JobField.required)
        }
    }

    // MARK: presets

    /// Every record is read, left out by the preset, or a row of empty fields; and what is read keeps the rules.
    private static func presetProblem<Column: InputColumn>(
        _ preset: InputPreset, _ file: [UInt8], _ required: [Column]
    ) -> String? {
        var form = InputForm()
        form.preset = preset
        form.fixedValues = ["store_id": "s"]
        if let problem = chunkProblem(file, form, required) { return problem }
        let reading = InputReading(file, form, required, chunk: 4_096)
        guard case .success = reading.seen, !PlainReader.isUTF16(file), !PlainReader.hasSeparatorLine(file) else {
            return nil
        }
        let plain = PlainReader(
            file, separator: PlainReader.separator(of: file), recordBytesMax: InputCheck<Column>.recordBytesMax)
        let records = plain.records.dropFirst().filter { $0.fields?.allSatisfy(PlainRules.isBlank) != true }
        if reading.records.count + reading.leftOut != records.count {
            return "\(reading.records.count) records and \(reading.leftOut) left out of \(records.count)"
        }
        let store = reading.columns.firstIndex { $0.rawValue == "store_id" }
        for record in reading.records where record.problem == nil {
            let isWhole = record.fields.count == reading.columns.count
            if !isWhole || store.map({ record.fields[$0].elementsEqual("s".utf8) }) != true {
                return "the fields of \(reading.columns) are \(record.fields)"
            }
        }
        return nil
    }

    private static func chunkProblem<Column: InputColumn>(
        _ file: [UInt8], _ form: InputForm, _ required: [Column]
    ) -> String? {
        let seen = [1, 7, 4_096].map { InputReading(file, form, required, chunk: $0).seen }
        return seen.contains { $0 != seen[0] } ? "read in chunks of 1, 7 and 4096 bytes it is \(seen)" : nil
    }

    // MARK: encodings

    private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// A text is read the same way in UTF-8 and in UTF-16, both with a mark.
    private static func encodingProblem(_ file: [UInt8], _ encoding: String.Encoding, mark: [UInt8]) -> String? {
        // Foundation removes a mark of its own.
        guard !file.starts(with: Self.mark), let text = String(bytes: file, encoding: .utf8),
            let encoded = text.data(using: encoding)
        else { return nil }
        return difference(
            InputReading(mark + Array(encoded), InputForm(), JobField.required, chunk: 7),
            InputReading(Self.mark + file, InputForm(), JobField.required, chunk: 4_096))
    }

    /// Bytes in Windows-1252 are read as the same text in UTF-8.
    private static func windowsProblem(_ file: [UInt8]) -> String? {
        // Without letters Foundation does not know, and without a mark, which would be believed.
        guard let text = String(bytes: file, encoding: .windowsCP1252), !file.starts(with: mark),
            !PlainReader.isUTF16(file)
        else { return nil }
        var form = InputForm()
        form.encoding = .windows1252
        return difference(
            InputReading(file, form, JobField.required, chunk: 7),
            InputReading(Array(text.utf8), InputForm(), JobField.required, chunk: 4_096))
    }

    private static func difference(_ encoded: InputReading<JobField>, _ plain: InputReading<JobField>) -> String? {
        if encoded.seen == plain.seen { return nil }
        return "in the other encoding it is \(encoded.seen), in UTF-8 \(plain.seen)"
    }
}
