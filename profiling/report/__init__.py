"""The report, its figures, and tables for the terminal.

report                                             the page of a log
sections, html_parts                               its sections, and pieces of HTML
batch_rates                                        its section of stages and functions by device
learning                                           its section of what was learned
figure_data, plots, plot_style                     the data of the plots, the plots, and their look
console_tables, evaluation_tables, holdout_tables  tables for the terminal
simulation_table, tariff_table, sharing_table      likewise, of simulations: of policies, a tariff, shares of GPUs
source_tables                                      likewise, of an evaluation on published pairs
"""
