"""The report, its figures, and tables for the terminal.

report                                             the page of a log
sections, html_parts                               its sections, and pieces of HTML
batch_rates                                        its section of stages and functions by device
figure_data, plots, plot_style                     the data of the plots, the plots, and their look
console_tables, evaluation_tables, holdout_tables  tables for the terminal
source_tables                                      likewise, of an evaluation on published pairs
"""
