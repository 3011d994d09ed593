/// The page of the dashboard, carried by the binary: HTML with its style and its script, and no outside resource.
package enum DashboardPage {
    package static let html: [UInt8] = PackageResources.dashboard_html

    /// The text of the page's only `style` element.
    package static var style: [UInt8] { content(of: "style") }

    /// The text of its only `script` element.
    package static var script: [UInt8] { content(of: "script") }

    private static func content(of tag: String) -> [UInt8] {
        let page = String(decoding: html, as: UTF8.self)
        guard let begin = page.firstRange(of: "<\(tag)>"), let end = page.firstRange(of: "</\(tag)>") else {
            preconditionFailure("the page has no \(tag) element")
        }
        return Array(page[begin.upperBound..<end.lowerBound].utf8)
    }
}
