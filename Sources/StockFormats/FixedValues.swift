import StockModel

/// The values that `--set` gives for all records. A field comes from the input or from `--set`, never from both.
struct FixedValues<Column: InputColumn> {
    let values: [(column: Column, text: String)]

    /// - Throws: for a name that is no field's.
    init(_ form: InputForm) throws(ValidationError) {
        var values: [(column: Column, text: String)] = []
        for (name, text) in form.fixedValues.sorted(by: { $0.key < $1.key }) {
            guard let column = Column(rawValue: name) else {
                let known = Column.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("--set \(name)=\(text): there is no field \(name); known are \(known)")
            }
            values.append((column, text))
        }
        self.values = values
    }

    /// The error for a field that the input has too.
    ///
    /// - Parameter place: what has it, with its verb.
    static func error(_ column: Column, _ text: String, given place: String) -> ValidationError {
        ValidationError(
            "--set \(column.rawValue)=\(text): \(place) \(column.rawValue)", code: .duplicateField,
            field: column.rawValue)
    }
}
