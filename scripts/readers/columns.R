# What R sees of a CSV file: the number of rows, then of each column its name, type, number of values and sum.
table <- read.csv(commandArgs(trailingOnly = TRUE)[1], check.names = FALSE)
cat(nrow(table), "\n", sep = "")
for (name in names(table)) {
    column <- table[[name]]
    there <- column[!is.na(column) & column != ""]
    # read.csv leaves `true` a text, and a time below, until it is asked.
    if (is.character(column) && length(there) > 0 && all(there %in% c("true", "false"))) column <- as.logical(column)
    kind <- if (is.logical(column)) "boolean" else if (is.numeric(column)) "number" else "text"
    if (grepl("_utc$", name) && !anyNA(as.POSIXct(there, tz = "UTC", format = "%Y-%m-%d %H:%M:%OS"))) kind <- "time"
    total <- if (kind == "number") sum(as.numeric(there)) else 0
    cat(name, kind, length(there), sprintf("%.17g", total), sep = "\t")
    cat("\n")
}
