import StockModel

/// A file that a shop system exports, known by the names of its columns in English.
public enum InputPreset: String, Sendable, CaseIterable {
    /// Shopify's inventory by locations (Shopify Help Center, "Exporting or importing inventory with a CSV file": a row
    /// for each variant and location, with `Not stocked` for one that is never there). The page describes the columns;
    /// their exact names are those that public programs expect which read the export.
    case shopifyInventory = "shopify-inventory"
    /// Shopify's orders. The names of the columns, and that an order's second and later lines repeat its name and leave
    /// most other columns empty, are taken from public programs and samples of the export.
    case shopifyOrders = "shopify-orders"
    /// WooCommerce's products, as `WC_Product_CSV_Exporter` and `WC_CSV_Exporter` of WooCommerce 10 write them.
    case woocommerceProducts = "woocommerce-products"
    /// Square's item library: a row for each variation, four columns for each location. The names of the columns are
    /// taken from public programs that read or write the file.
    case squareInventory = "square-inventory"
}

/// How the columns of a shop system's file become fields.
package struct PresetRules<Column: InputColumn>: Sendable {
    struct Source: Sendable {
        let field: Column
        /// Columns by their names, the preferred one first: the field is that of the first one that is not empty. A name
        /// that ends with a star is the beginning of the column's name; what follows is a location.
        let names: [String]
        /// A column which, with `N`, turns the field off.
        var switchName: String?

        init(_ field: Column, _ names: String..., switchName: String? = nil) {
            (self.field, self.names, self.switchName) = (field, names, switchName)
        }
    }

    let sources: [Source]

    /// The field has the quantity sold, which is taken away.
    var negated: Column?
    /// A record whose field has one of these texts, in any case, is left out.
    var leftOut: (field: Column, texts: Set<String>)?
    /// The records of an order are left out if this column is not empty in the first of them. A record without the
    /// order's name belongs to the order above.
    var cancellation: (order: String, column: String)?
    /// A text that a spreadsheet could take for a formula has an apostrophe before it.
    var isEscaped = false

    /// Why a record is left out.
    static var untracked: String { "the shop does not track the stock" }
    static var canceled: String { "the order is canceled" }
    static func otherLocation(_ location: String) -> String { "the location is not '\(location)'" }
}

extension JobField: InputColumn {
    package static func advice(onColumn name: String) -> String? {
        ItemField(rawValue: name) == nil ? nil : "this looks like items: use stockq items import"
    }

    package static func rules(of preset: InputPreset) -> PresetRules<JobField>? {
        guard preset == .shopifyOrders else { return nil }
        return PresetRules(
            sources: [
                .init(.itemID, "Lineitem sku"), .init(.quantity, "Lineitem quantity"), .init(.reference, "Name"),
            ],
            negated: .quantity, cancellation: (order: "Name", column: "Cancelled at"))
    }
}

extension ItemField: InputColumn {
    /// Columns of the table that no file sets.
    private static let exportedColumns: Set<String> = ["version", "updated_at", "opening_on_hand", "last_job_id"]

    package static func advice(onColumn name: String) -> String? {
        if JobField(rawValue: name) != nil { return "this looks like jobs: use stockq import" }
        return exportedColumns.contains(name) ? "this looks like stockq export items: add --ignore-unknown" : nil
    }

    package static func rules(of preset: InputPreset) -> PresetRules<ItemField>? {
        switch preset {
        case .shopifyInventory:
            PresetRules(
                sources: [
                    .init(.itemID, "SKU"), .init(.locationID, "Location"),
                    .init(.onHand, "On hand (new)", "On hand (current)", "On hand"),
                ],
                leftOut: (.onHand, ["not stocked"]))
        case .woocommerceProducts:
            // Empty: the product's stock is not managed. "parent": it is that of the product.
            PresetRules(
                sources: [
                    .init(.itemID, "SKU"), .init(.onHand, "Stock"), .init(.lowStockThreshold, "Low stock amount"),
                    .init(.parentID, "Parent"),
                ],
                leftOut: (.onHand, ["", "parent"]), isEscaped: true)
        case .squareInventory:
            PresetRules(
                sources: [
                    .init(.itemID, "SKU"), .init(.onHand, "New Quantity *", "Current Quantity *"),
                    .init(.lowStockThreshold, "Stock Alert Count *", switchName: "Stock Alert Enabled *"),
                ],
                leftOut: (.onHand, [""]))
        case .shopifyOrders: nil
        }
    }
}
