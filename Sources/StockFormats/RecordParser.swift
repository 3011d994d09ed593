import Foundation
import StockModel

/// Makes typed values of an input's records.
package struct RecordParser {
    /// The fields of a record, in their order.
    private let fields: [FieldDefinition]
    private let isID: [Bool]
    private let isTime: [Bool]
    private let timeZone: TimeZone?

    /// - Parameter timeZone: of the times that are without one; nil where each has to have it.
    package init(_ fields: [FieldDefinition], timeZone: TimeZone?) {
        self.fields = fields
        self.timeZone = timeZone
        isID = fields.map(\.isID)
        isTime = fields.map(\.isTime)
    }

    /// Parses the fields that a record gives. A field without a byte is not given.
    ///
    /// - Parameter set: receives each value with its position in the record.
    package func parse(
        _ record: InputRecord, _ set: (_ position: Int, FieldValue) -> Void
    ) throws(ValidationError) {
        if let problem = record.problem { throw problem }
        for (position, field) in fields.enumerated() {
            let bytes = record.fields[position]
            if !bytes.isEmpty {
                if isID[position] && WholeNumber.isRounded(bytes) { throw field.rounded(bytes) }
                set(position, try isTime[position] ? field.parseTime(bytes, in: timeZone) : field.parse(bytes))
            } else if field.isRequired {
                throw field.isEmpty
            }
        }
    }
}

extension JobRequest {
    /// Makes a job of texts, such as the words of a command line. A field that is not given has its default.
    ///
    /// - Throws: the first rule that is broken.
    public init(texts: [JobField: String]) throws(ValidationError) {
        self.init(store: "", item: "", quantity: 0)
        for (field, definition) in zip(JobField.allCases, JobField.definitions) {
            guard let text = texts[field] else {
                if definition.isRequired { throw definition.isEmpty }
                continue
            }
            if text.isEmpty { throw definition.isEmpty }
            set(field, try definition.parse(Array(text.utf8)[...]))
        }
        try validate()
    }
}
